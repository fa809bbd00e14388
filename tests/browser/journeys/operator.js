// The operator on call: signs in with a code, finds what is stuck, reads why, tries again, decides what waits for a person.

import { inked } from '../support/png.js';
import { PATIENT } from '../support/world.js';

export async function journey(me, world) {
  // One that the other side refuses for good, and one that nothing says where to send.
  const stuck = await world.submit('lakeshore-plan', 'MOBILE1', 'STUCK01', '554@direct.lakeside.example');
  await world.submit('lakeshore-plan', 'MOBILE1', 'LOST01', null);

  const first = await world.person('operator@lab.example', 'operator');
  await me.firstSignIn('operator@lab.example', first);
  await me.signOut();
  await me.go('/deliveries?state=refused');
  me.must(new URL(me.page.url()).pathname === '/sign-in', 'sees deliveries without signing in');
  await me.signIn();
  await me.mustSee('Overview');
  // A patient is behind a click that is put on record, and nowhere else.
  me.forbid([PATIENT.family, PATIENT.given, PATIENT.local_id]);
  await me.inspect('overview');

  // The stuck delivery, by the order it is about.
  await until(me, async () => {
    await me.go('/deliveries?state=refused');
    return (await me.main()).includes('STUCK01');
  });
  await me.inspect('deliveries');
  await me.page.getByLabel('Find an order').fill('STUCK01');
  await me.press('Find');
  await me.mustSee('Result of STUCK01');
  await me.follow('554@direct.lakeside.example');
  await me.mustSee('rejected_5xx');
  await me.mustSee('Why it went there');
  const trace = await me.page.getByRole('region', { name: 'Why it went there' }).innerText();
  me.must(trace.includes('554@direct.lakeside.example'), `the trace does not name the address: ${trace}`);
  await me.inspect('delivery');
  await me.page.locator('summary', { hasText: /^Retry$/ }).click();
  await me.press('Retry it');
  await me.mustSee('Back in the queue');

  // Several at once, after having seen which.
  await until(me, async () => {
    await me.go('/deliveries?state=refused');
    return (await me.main()).includes('STUCK01');
  });
  await me.page.locator('tr', { hasText: 'STUCK01' }).getByRole('checkbox').check();
  await me.press('Retry the chosen ones');
  await me.mustSee('Nothing has happened yet');
  await me.inspect('retry');
  await me.press(/^Retry 1/);
  await me.mustSee('Back in the queue');

  // What waits for a person gets an address, and goes out.
  await until(me, async () => {
    await me.go('/worklist');
    return (await me.main()).includes('LOST01');
  });
  await me.inspect('worklist');
  await me.follow('LOST01');
  await me.mustSee('What is to be done');
  await me.inspect('result');
  await me.page.getByLabel('What is to be done').selectOption('address');
  await me.page.locator('input[name="address"]').fill('pcp00@direct.lakeside.example');
  await me.page.getByLabel('Why').fill('the practice called');
  await me.press('Decide');
  await me.mustSee('Decided, and on record');
  await until(me, async () => {
    await me.page.getByLabel('Find an order').fill('LOST01');
    await me.press('Find');
    return /pcp00@direct[^]*accepted/.test(await me.main());
  });

  // Once more to everybody: a click twice makes one resend.
  await me.follow('pcp00@direct.lakeside.example');
  await me.page.locator('summary', { hasText: 'Resend the result' }).click();
  await me.press('Resend to everybody');
  await me.mustSee('The result goes out once more');
  await until(me, async () => {
    await me.page.getByLabel('Find an order').fill('LOST01');
    await me.press('Find');
    return (await me.page.getByRole('link', { name: 'LOST01' }).count()) === 2;
  });
  await me.inspect('found');

  // Looking at the patient is a decision.
  await me.go(`/results/${stuck.id}`);
  me.forbid([]);
  await me.page.locator('summary', { hasText: 'Show the patient' }).click();
  await me.press('Show');
  await me.mustSee(PATIENT.family);
  await paper(me);
  await me.inspect('revealed');

  // What the recipient gets, with the PDF beside it.
  await me.go('/deliveries?address=pcp00@direct.lakeside.example');
  await me.follow('LOST01');
  await me.unfold('Show the document');
  await me.press('Show it');
  await me.mustSee('On record that you looked');
  await me.mustSee(PATIENT.family);
  await paper(me);
  await me.inspect('document');
  const [tab] = await Promise.all([me.context.waitForEvent('page'), me.page.getByRole('link', { name: 'The PDF in a tab of its own' }).click()]);
  await tab.close();

  // Who cares for which member: seen first, then in force.
  await me.go('/directory?organization=north-clinics');
  await me.follow('Rosters');
  await me.inspect('rosters');
  const members = Array.from({ length: 12 }, (_, at) => `M${at},2000000010`);
  await me.page.locator('input[type="file"]').setInputFiles(
    { name: 'roster.csv', mimeType: 'text/csv', buffer: Buffer.from(['member_id,npi', ...members, 'M99,nobody'].join('\n')) });
  await me.press('Show what would change');
  await me.mustSee('Nothing has happened yet');
  await me.mustSee(/New members\s+12/);
  await me.mustSee(/Lines left out\s+1/);
  await me.inspect('roster');
  await me.press('Put it into force');
  await me.mustSee('In force: routes are looked up in this roster');
  await me.go('/directory/import');
  await me.mustSee('postern directory import nppes');
  await me.inspect('import');
  for (const place of ['inbox', 'directory', 'trust', 'alerts', 'health', 'organizations']) {
    await me.go(`/${place}`);
    await me.inspect(place);
  }
  me.must((await me.go('/audit')) === 403 && (await me.go('/fees')) === 403, 'sees what is not an operator\'s');
  await me.signOut();
}

/** The page of the PDF is there to be seen: the viewer's bar alone is not enough. */
async function paper(me) {
  const frame = me.page.locator('iframe.paper');
  await until(me, async () => {
    const { x, y, width, height } = await frame.boundingBox();
    // Beneath the bar, within the page: a line of text on white.
    const clip = { x: x + width * 0.1, y: y + 60, width: width * 0.8, height: Math.min(120, height - 80) };
    const ink = inked(await me.page.screenshot({ clip, fullPage: true }));
    return ink > 0.001 && ink < 0.3;
  });
}

/** Looks again until it holds. */
async function until(me, holds) {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    if (await holds()) return;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  me.must(false, `waited in vain; it says\n${(await me.main()).slice(0, 1_500)}`);
}
