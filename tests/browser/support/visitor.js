// Somebody in front of a browser. Whatever the console must never do is noticed at every step, by whomever: asking another
// host for something, going against its own content security policy, an error in the browser's console, an answer of 5xx.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Telephone } from './totp.js';

const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** What a page is looked at with. */
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
/** WCAG 2.2 AA and what axe recommends besides. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** Nothing a person waits for takes longer, in milliseconds. */
const PATIENCE = 15_000;

/** Where the page is that asks for something. */
function frameOf(request) {
  try {
    return request.frame().url();
  } catch {
    // The page is not there yet.
    return '';
  }
}

export class Visitor {
  constructor(name, context, page, world, pictures, scripts) {
    Object.assign(this, { name, context, page, world, pictures, scripts, faults: [], requests: 0, words: [] });
    /** Hosts besides the console's own that a page may lead to, for a sign-in elsewhere. */
    this.elsewhere = [];
  }

  /** A fresh browser profile. `options` as Playwright takes them. */
  static async come(name, browser, world, pictures, options = {}) {
    const context = await browser.newContext({ viewport: WIDE, locale: 'en-US', colorScheme: 'light', acceptDownloads: true, ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const visitor = new Visitor(name, context, page, world, pictures, options.javaScriptEnabled !== false);
    await visitor.#watch();
    return visitor;
  }

  async #watch() {
    const fault = what => this.faults.push(`${this.name} at ${new URL(this.page.url(), this.world.url).pathname}: ${what}`);
    // The browser shows a PDF with parts of its own.
    const ours = url => /^chrome(-extension)?:/.test(url) || url.startsWith(`${this.world.url}/`) || url.startsWith('data:') || url === 'about:blank';
    // What pages of others do is not ours.
    const there = url => this.elsewhere.some(origin => url.startsWith(`${origin}/`));
    this.context.on('request', request => {
      this.requests += 1;
      const url = request.url();
      if (!ours(url) && !there(url) && !there(frameOf(request))) fault(`asked ${url}`);
    });
    this.context.on('response', response => {
      if (response.status() >= 500) fault(`${new URL(response.url()).pathname} answered ${response.status()}`);
    });
    this.page.on('console', message => {
      // A page that is shown with 403, 404 or 422 is a page.
      const status = /status of (\d{3})/.exec(message.text())?.[1];
      if (message.type() === 'error' && !there(this.page.url()) && !status?.startsWith('4')) fault(`the browser says: ${message.text()}`);
    });
    this.page.on('pageerror', error => fault(`a script failed: ${error.message}`));
    if (this.scripts) {
      await this.page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', event =>
          console.error(`against the policy (${event.violatedDirective}): ${event.blockedURI} ${event.sample}`));
      });
    }
  }

  /** Goes to a path of the console; gives the status. */
  async go(path) {
    const answer = await this.page.goto(this.world.url + path, { waitUntil: 'load' });
    await this.#read();
    return answer.status();
  }

  /** Waits for the page that a click leads to. */
  async after(click) {
    await Promise.all([this.page.waitForEvent('load'), click()]);
    await this.#read();
  }

  /** Presses a button, or follows a link, that leads to another page. */
  async press(name, within = this.page) {
    await this.after(() => within.getByRole('button', { name, exact: typeof name === 'string' }).first().click());
  }

  async follow(name, within = this.page) {
    await this.after(() => within.getByRole('link', { name, exact: typeof name === 'string' }).first().click());
  }

  /** Follows the first link that leads to such a place. */
  async followTo(place) {
    await this.after(() => this.page.locator(`#main a[href*="${place}"]`).first().click());
  }

  /** Unfolds what is folded away under a name. */
  async unfold(name, within = this.page) {
    await within.locator('summary', { hasText: name }).first().click();
  }

  /** What a link, or a place, downloads. */
  async download(place) {
    const [download] = await Promise.all([this.page.waitForEvent('download'), this.page.locator(`#main a[href*="${place}"]`).first().click()]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  }

  /** Words that must stand on no page of theirs, looked for from now on. */
  forbid(words) {
    this.words = words;
  }

  async #read() {
    if (this.words.length === 0) return;
    const source = await this.page.content();
    const text = source + (await this.page.title()) + decodeURIComponent(this.page.url());
    for (const word of this.words) {
      const quoted = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      if (new RegExp(`(?<![A-Za-z])${quoted}(?![A-Za-z])`).test(text)) {
        this.faults.push(`${this.name} reads "${word}" at ${new URL(this.page.url()).pathname}`);
      }
    }
  }

  /** What stands in the main part. */
  async main() {
    return this.page.locator('#main').innerText();
  }

  /** Fails unless it holds. */
  must(holds, what) {
    if (!holds) throw new Error(`${this.name} at ${this.page.url().replace(this.world.url, '')}: ${what}`);
  }

  /** Fails unless the main part says so. */
  async mustSee(words) {
    const text = await this.main();
    const there = words instanceof RegExp ? words.test(text) : text.includes(words);
    this.must(there, `does not see ${words} in:\n${text.slice(0, 1_500)}`);
  }

  /** Takes the page's picture as it is. */
  async picture(as) {
    await this.page.screenshot({ path: join(this.pictures, `${this.name}-${as}.png`), fullPage: true, animations: 'disabled' });
  }

  /** Looks at a page in light, in dark and on a telephone: a picture of each, and what axe finds. */
  async inspect(as) {
    for (const scheme of ['light', 'dark']) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.#examine(as, scheme);
      await this.picture(`${as}-${scheme}`);
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
    await this.page.setViewportSize(PHONE);
    const across = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (across > 1) this.faults.push(`${this.name}: ${as} is ${across} pixels too wide for a telephone`);
    const cut = await this.page.evaluate(() => [...document.querySelectorAll('.wide:not(.keep)')].filter(table => table.scrollWidth > table.clientWidth + 1).length);
    if (cut > 0) this.faults.push(`${this.name}: ${cut} tables of ${as} are cut off on a telephone`);
    await this.picture(`${as}-phone`);
    await this.page.setViewportSize(WIDE);
  }

  /** Does something with a telephone in the hand. */
  async onPhone(what) {
    await this.page.setViewportSize(PHONE);
    await what();
    await this.page.setViewportSize(WIDE);
  }

  async #examine(as, scheme) {
    // Not a script of the page: the policy stays as it is.
    await this.page.evaluate(axe);
    // In the dark nothing but the colours is another.
    const only = scheme === 'light' ? { type: 'tag', values: RULES } : { type: 'rule', values: ['color-contrast', 'link-in-text-block'] };
    const found = await this.page.evaluate(only => globalThis.axe.run(document, { runOnly: only, resultTypes: ['violations'] }), only);
    this.must(found.passes.length > 0, `axe has looked at nothing of ${as}`);
    for (const { id, impact, help, nodes } of found.violations) {
      if (impact !== 'serious' && impact !== 'critical') continue;
      this.faults.push(`${this.name}: ${as} (${scheme}): ${impact}: ${help} [${id}]: ${nodes.map(node => node.html.slice(0, 160)).join(' | ')}`);
    }
  }

  /** Signs in for the first time: chooses a password, sets codes up when the role needs them. */
  async firstSignIn(login, first) {
    this.login = login;
    this.password = `${first} and back`;
    await this.go('/sign-in');
    await this.#password(first);
    await this.page.getByLabel('The password you were given').fill(first);
    await this.page.getByLabel('New password').fill(this.password);
    await this.page.getByLabel('The same again').fill(this.password);
    await this.press('Change it');
    if (new URL(this.page.url()).pathname !== '/account/codes') return;
    this.telephone = new Telephone(await this.page.locator('code').first().innerText());
    await this.page.getByLabel('The code it shows').fill(await this.telephone.code());
    await this.press('Set up');
    await this.mustSee('Keep these codes');
    await this.follow('I have kept them');
  }

  /** Signs in with everything the role needs. */
  async signIn() {
    await this.go('/sign-in');
    await this.#password(this.password);
    if (!this.telephone) return;
    await this.mustSee('Your code');
    await this.page.getByLabel('Six digits from your telephone').fill(await this.telephone.code());
    await this.press('Go on');
  }

  async #password(password) {
    await this.page.getByLabel('Name').fill(this.login);
    await this.page.getByLabel('Password').fill(password);
    await this.press('Sign in');
  }

  async signOut() {
    await this.press('Sign out');
    this.must(new URL(this.page.url()).pathname === '/sign-in', 'is not signed out');
  }

  async leave() {
    await this.context.close();
  }
}
