// Journeys through the console in a real Chromium, each by somebody with another role. `scripts/browser` calls it.

import { access, mkdir, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

import { CLIENT } from './support/provider.js';
import { Visitor } from './support/visitor.js';
import { World, freePorts } from './support/world.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { binary: { type: 'string' }, pictures: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' } },
});
const pictures = resolve(values.pictures);
const binary = resolve(values.binary);

/** The longest first. Each brings the orders it is about, so that none waits for another. */
const JOURNEYS = ['admin', 'operator', 'biller', 'viewer', 'oidc', 'watch', 'keyboard', 'plain'];
/** Results of the demo that every journey finds. */
const RESULTS = 24;

await access(binary);
await rm(pictures, { recursive: true, force: true });
await mkdir(pictures, { recursive: true });
const chosen = positionals.length > 0 ? positionals : JOURNEYS;

const began = Date.now();
const seconds = from => `${((Date.now() - from) / 1000).toFixed(1)} s`;
const say = text => process.stderr.write(`${text}\n`);

let failed = false;
let world;
let browser;
try {
  const launching = chromium.launch({
    executablePath: values.chromium,
    // Only root has to do without the sandbox; nothing but our own pages is shown.
    args: ['--disable-dev-shm-usage', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
  launching.catch(() => {});
  const [provider] = await freePorts(1);
  world = await World.open(binary, RESULTS, () => `[oidc]
issuer = "http://localhost:${provider}"
client_id = "${CLIENT.id}"
client_secret = "${CLIENT.secret}"
create = true
group = [{ name = "postern-auditors", role = "auditor" }, { name = "plan-viewers", role = "viewer", organizations = ["lakeshore-plan"] }]
`);
  world.provider = provider;
  browser = await launching;
  say(`The stage is set (${seconds(began)}): ${world.url}, Chromium ${browser.version()}.`);
  const walk = async name => {
    const from = Date.now();
    const { journey, options } = await import(`./journeys/${name}.js`);
    const visitor = await Visitor.come(name, browser, world, pictures, options);
    try {
      await journey(visitor, world);
    } catch (error) {
      await visitor.picture('failed').catch(() => {});
      visitor.faults.push(error.stack ?? String(error));
    }
    await visitor.leave();
    const outcome = visitor.faults.length === 0 ? 'ok    ' : 'FAILED';
    say([`${outcome} ${name}: ${visitor.requests} requests, ${seconds(from)}`, ...visitor.faults].join('\n       '));
    failed ||= visitor.faults.length > 0;
  };
  // People are not alone in a console: two at a time.
  const left = [...chosen];
  const next = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) await walk(name);
  };
  await Promise.all([next(), next()]);
} catch (error) {
  say(error.stack ?? String(error));
  failed = true;
} finally {
  if (failed && world) say(world.logs());
  await browser?.close();
  await world?.close();
}
say(`${failed ? 'Some journeys failed' : 'All journeys went well'} (${seconds(began)}); pictures are in ${pictures}`);
process.exitCode = failed ? 1 : 0;
