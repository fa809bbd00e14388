// The admin: organizations, people and tokens, the audit trail, and every other page there is.

import { Visitor } from '../support/visitor.js';

export async function journey(me, world) {
  const first = await world.person('admin@lab.example', 'admin');
  await me.go('/sign-in');
  await me.inspect('sign-in');
  await me.firstSignIn('admin@lab.example', first);
  const menu = await me.page.locator('nav[aria-label="Main"] li a').evaluateAll(links => links.map(link => link.getAttribute('href')));
  me.must(menu.length >= 12, `sees too few places: ${menu}`);
  for (const place of [...menu, '/account', '/account/password', '/account/codes', '/new-organization', '/inbox/unmatched']) {
    const from = Date.now();
    me.must((await me.go(place)) === 200, `cannot see ${place}`);
    me.must(Date.now() - from < 3_000, `waits ${Date.now() - from} ms for ${place}`);
    await me.inspect(place.slice(1).replaceAll('/', '-') || 'overview');
  }

  // On a telephone the places are behind one link.
  await me.go('/deliveries');
  await me.onPhone(async () => {
    await me.page.getByRole('link', { name: 'Menu', exact: true }).click();
    await me.page.getByRole('link', { name: 'Audit', exact: true }).waitFor({ state: 'visible' });
    await me.picture('menu-phone');
    await me.follow('Audit');
  });

  // An organization's file: what would change is shown first, then it is done.
  await me.go('/organizations');
  await me.follow('Vision Labs');
  await me.inspect('organization');
  await me.follow('Edit');
  await me.inspect('edit');
  const file = me.page.getByLabel('The organization file');
  await file.fill((await file.inputValue()).replace('name = "Vision Labs"', 'name = "Vision Laboratories"'));
  await me.press('Show what would change');
  await me.mustSee('What would change');
  await me.mustSee('Vision Laboratories');
  await me.inspect('change');
  me.must((await world.postern(['org', 'show', 'vision-labs'])).includes('Vision Labs'), 'has changed it by looking');
  await me.press(/^Apply/);
  await me.mustSee('Applied');
  await me.mustSee('Vision Laboratories');

  // A token is shown once, and lets a program in.
  await me.go('/people');
  await me.unfold('Make a token');
  await me.page.getByLabel('It speaks for').selectOption({ label: 'vision-labs' });
  await me.page.getByLabel('What to call it').fill('from the browser');
  await me.page.getByLabel('What it may do').fill('deliveries:read');
  await me.press(/^Make the token/);
  const token = await me.page.locator('#main table code').innerText();
  await me.picture('token');
  const asked = path => fetch(world.url + path, { headers: { authorization: `Bearer ${token}` } }).then(answer => answer.status);
  me.must((await asked('/v1/deliveries')) === 200 && (await asked('/v1/fees/periods')) === 403, 'made a token that may do something else');
  await me.go('/people');
  me.must(!(await me.page.content()).includes(token), 'sees the token again');
  const row = me.page.locator('tr', { hasText: 'from the browser' });
  await me.unfold('Revoke', row);
  await me.press(/^Revoke/, row);
  await me.mustSee('Revoked');
  me.must((await asked('/v1/deliveries')) === 401, 'revoked a token that still lets somebody in');

  // Somebody new gets a first password, and is thrown out at once when they are disabled.
  await me.unfold('Add somebody');
  await me.page.getByLabel('Signs in as').fill('new@lab.example');
  await me.page.getByLabel('Role').first().selectOption('auditor');
  await me.press('Let them in');
  const theirs = await me.page.locator('#main table code').innerText();
  await me.picture('first-password');
  const other = await Visitor.come('admin-new', me.page.context().browser(), world, me.pictures);
  await other.firstSignIn('new@lab.example', theirs);
  await other.mustSee('Overview');
  await me.go('/people');
  await me.follow('new@lab.example');
  await me.inspect('person');
  await me.press(/^Disable/);
  await me.mustSee('Nobody gets in as them any more');
  await other.go('/');
  other.must(new URL(other.page.url()).pathname === '/sign-in', 'is still signed in');
  me.faults.push(...other.faults);
  await other.leave();

  // All of it is on the trail.
  await me.go('/audit');
  const trail = await me.main();
  for (const action of ['person added', 'person disabled', 'token made', 'token revoked']) me.must(trail.includes(action), `does not see ${action} on the trail`);
  await me.inspect('trail');
  await me.go('/account');
  await me.signOut();
}
