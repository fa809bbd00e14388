// Somebody of a payer: sees what became of the results of its own organization, and nobody's patient.

import { PATIENT } from '../support/world.js';

export async function journey(me, world) {
  const theirs = await world.submit('vision-labs', 'LAB', 'THEIRS01', 'pcp01@direct.hillview.example');
  const mine = await world.submit('lakeshore-plan', 'MOBILE1', 'MINE01', 'pcp01@direct.hillview.example');
  const first = await world.person('viewer@payer.example', 'viewer', 'lakeshore-plan');
  me.forbid([PATIENT.family, PATIENT.given, PATIENT.local_id, PATIENT.birth_date, PATIENT.phone, 'vision-labs', 'north-clinics', 'THEIRS01',
    'direct.visionlabs.example', 'direct.northclinics.example']);
  await me.firstSignIn('viewer@payer.example', first);
  me.must(!me.telephone, 'is asked for codes');
  await me.inspect('overview');
  for (const place of ['deliveries', 'worklist']) {
    await me.go(`/${place}`);
    await me.inspect(place);
  }
  await me.go('/deliveries');
  await me.mustSee('MINE01');
  me.must((await me.page.getByRole('checkbox').count()) === 0, 'may choose deliveries to retry');
  await me.follow('MINE01');
  await me.mustSee('What happened');
  me.must((await me.page.getByRole('button', { name: /Retry|Resend|Cancel/ }).count()) === 0, 'is offered to act');
  await me.inspect('delivery');
  await me.go('/reports');
  await me.press('Show');
  await me.mustSee('What could not be delivered');
  await me.inspect('reports');
  me.must((await me.go(`/results/${mine.id}`)) === 200, 'does not see its own result');
  me.must((await me.page.getByText('Show the patient').count()) === 0, 'is offered to see the patient');
  await me.inspect('result');
  me.must((await me.go(`/results/${mine.id}/document`)) === 403, 'gets the document');

  // What is somebody else's is not there at all, and by no other way either.
  me.must((await me.go(`/results/${theirs.id}`)) === 404, 'sees the result of somebody else');
  await me.inspect('missing');
  await me.go('/');
  await me.page.getByLabel('Find an order').fill(PATIENT.local_id);
  me.forbid(['THEIRS01', PATIENT.family]);
  await me.press('Find');
  await me.mustSee('Nothing found');
  me.must((await me.go('/deliveries?organization=vision-labs')) === 404, 'may choose another organization');
  for (const place of ['organizations', 'fees', 'audit', 'people', 'trust', 'health', 'alerts', 'inbox', 'directory']) {
    me.must((await me.go(`/${place}`)) === 403, `may go to ${place}`);
  }
  await me.inspect('forbidden');
  await me.go('/account');
  await me.signOut();
}
