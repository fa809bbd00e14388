// The operator on call: signs in with a code, finds what is stuck, reads why, tries again, decides what waits for a person.

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
  await me.page.getByLabel('Do what').selectOption('address');
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
  await me.inspect('revealed');
  for (const place of ['inbox', 'directory', 'trust', 'alerts', 'health', 'organizations']) {
    await me.go(`/${place}`);
    await me.inspect(place);
  }
  me.must((await me.go('/audit')) === 403 && (await me.go('/fees')) === 403, 'sees what is not an operator\'s');
  await me.signOut();
}

/** Looks again until it holds. */
async function until(me, holds) {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    if (await holds()) return;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  me.must(false, `waited in vain; it says\n${(await me.main()).slice(0, 1_500)}`);
}
