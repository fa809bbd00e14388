// Billing: finishes a month - at a glance, its lines, the HISP's own count, closing, the statement, exports - without a word about a
// patient on any page or in any file.

import { PATIENT } from '../support/world.js';

/** Whom the demo makes up, besides. */
const FAMILIES = ['Testriver', 'Sampleton', 'Mockford', 'Placeholder', 'Fakeman', 'Demoske', 'Fixture', 'Stubbs', 'Dummont', 'Protolski', 'Trialova'];
const FORBIDDEN = [...Object.values(PATIENT), ...FAMILIES];

export async function journey(me, world) {
  const first = await world.person('billing@lab.example', 'billing');
  me.forbid(FORBIDDEN);
  await me.firstSignIn('billing@lab.example', first);
  await me.inspect('home');
  await me.go('/fees');
  await me.mustSee('lakeshore-plan');
  await me.inspect('fees');
  await me.follow('lakeshore-plan');
  await me.inspect('organization');
  // The oldest stands last.
  const month = (await me.main()).match(/\d{4}-\d{2}(?!-)/g).at(-1);
  await me.follow(month);
  await me.mustSee('0.25');
  await me.inspect('month');

  // Down to each line, and out as a file.
  await me.followTo(`/${month}/lines`);
  await me.mustSee('charge');
  await me.inspect('lines');

  // One of them is corrected: seen first, then written, and nothing is ever changed.
  await me.followTo('/lines/');
  await me.mustSee('Correct it');
  await me.inspect('line');
  await me.page.getByLabel('What it should have cost').fill('0.10');
  await me.page.getByLabel('Why').fill('agreed with the client');
  await me.press('Show what would be written');
  await me.mustSee('Nothing has happened yet');
  await me.mustSee('-0.15');
  await me.inspect('correct');
  await me.press('Write it');
  await me.mustSee('Corrected');
  await me.mustSee('Taken back by line');
  await me.inspect('corrected');
  await me.go(`/fees/lakeshore-plan/${month}`);
  const ledger = await me.download('/export?format=csv');
  nothingAbout(me, ledger);
  me.must(ledger.text.trim().split('\n').length > 2, `the file has no lines: ${ledger.text}`);

  // What the HISP has counted: everything we sent, and one that we did not.
  const all = JSON.parse(await world.postern(['delivery', 'list', '--organization', 'lakeshore-plan', '--json']));
  const sent = all.filter(one => one.state === 'accepted' && one.created_at.startsWith(month)).map(one => one.message_id);
  await me.go(`/fees/lakeshore-plan/${month}`);
  await me.followTo('/reconcile');
  await me.inspect('reconcile');
  await me.page.locator('input[type="file"]').setInputFiles(
    { name: 'usage.csv', mimeType: 'text/csv', buffer: Buffer.from(['message_id', ...sent, '<nobody@hisp.example>'].join('\n')) });
  await me.press('Compare');
  await me.mustSee('What was found');
  await me.mustSee(new RegExp(`Matched\\s+${sent.length}`));
  await me.mustSee(/With the HISP alone\s+1/);
  await me.inspect('compared');
  await me.page.getByLabel('What to write beside it').fill('one test message of theirs, agreed');
  await me.press('Sign it off');
  await me.mustSee('On record');

  // Closing shows first what it writes, and is done once.
  await me.followTo('/close');
  await me.inspect('closing');
  await me.follow('Count, and show what closing would write');
  await me.mustSee('Nothing has happened yet');
  await me.mustSee(/Ties\s+yes/);
  await me.inspect('close');
  const force = me.page.getByLabel('Close it all the same');
  if (await force.count()) await force.check();
  await me.press(`Close ${month}`);
  await me.mustSee('Closed, and signed');
  await me.inspect('closed');
  const statement = await me.download('/statement?format=csv');
  nothingAbout(me, statement);
  me.must((await me.go(`/fees/lakeshore-plan/${month}/statement`)) === 200, 'cannot read the statement');
  await me.inspect('statement');

  for (const place of ['deliveries', 'worklist', 'inbox', 'people', 'audit', 'trust', 'directory', 'health', 'alerts']) {
    me.must((await me.go(`/${place}`)) === 403, `may go to ${place}`);
  }
  await me.go('/organizations');
  await me.inspect('organizations');
  await me.follow('Lakeshore Health Plan');
  await me.go('/account');
  await me.signOut();
}

function nothingAbout(me, { name, text }) {
  const found = FORBIDDEN.filter(word => text.includes(word) || name.includes(word));
  me.must(found.length === 0, `reads ${found} in ${name}`);
}
