// Billing: a month at a glance, its statement, its export, and not a word about a patient on any page.

import { readFile } from 'node:fs/promises';

import { PATIENT } from '../support/world.js';

/** Whom the demo makes up, besides. */
const FAMILIES = ['Testriver', 'Sampleton', 'Mockford', 'Placeholder', 'Fakeman', 'Demoske', 'Fixture', 'Stubbs', 'Dummont', 'Protolski', 'Trialova'];

export async function journey(me, world) {
  const first = await world.person('billing@lab.example', 'billing');
  me.forbid([PATIENT.family, PATIENT.given, PATIENT.local_id, PATIENT.birth_date, PATIENT.phone, ...FAMILIES]);
  await me.firstSignIn('billing@lab.example', first);
  await me.inspect('home');
  await me.go('/fees');
  await me.mustSee('lakeshore-plan');
  await me.inspect('fees');
  await me.follow('lakeshore-plan');
  const month = new Date().toISOString().slice(0, 7);
  await me.inspect('organization');
  await me.follow(month);
  await me.mustSee('0.25');
  await me.inspect('month');

  for (const place of ['', 'deliveries', 'worklist', 'inbox', 'people', 'audit', 'trust', 'directory', 'health']) {
    const status = await me.go(`/${place}`);
    me.must(place === '' || status === 403, `may go to ${place}`);
  }
  await me.go('/organizations');
  await me.inspect('organizations');
  await me.go('/account');
  await me.signOut();
}

/** What a link downloads. */
export async function downloaded(me, click) {
  const [download] = await Promise.all([me.page.waitForEvent('download'), click()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}
