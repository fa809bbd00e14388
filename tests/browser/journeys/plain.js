// With JavaScript switched off everything works: signing in, finding, filtering, deciding.

export const options = { javaScriptEnabled: false };

export async function journey(me, world) {
  await world.submit('lakeshore-plan', 'MOBILE1', 'PLAIN01', null);
  const first = await world.person('plain@lab.example', 'operator');
  await me.firstSignIn('plain@lab.example', first);
  await me.mustSee('Overview');
  await me.picture('overview');
  await me.go('/deliveries');
  await me.page.getByLabel('State').selectOption('accepted');
  await me.press('Filter');
  me.must(new URL(me.page.url()).searchParams.get('state') === 'accepted', 'cannot filter');
  await me.page.getByLabel('Find an order').fill('PLAIN01');
  await me.press('Find');
  await me.mustSee('Result of PLAIN01');
  await me.page.getByLabel('What is to be done').selectOption('dismiss');
  await me.page.getByLabel('Why').fill('sent on paper');
  await me.press('Decide');
  await me.mustSee('Decided, and on record');
  await me.signOut();
}
