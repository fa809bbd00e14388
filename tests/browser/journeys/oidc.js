// Signing in through a real OpenID provider: as somebody who was added here, as somebody new by their group, and as nobody.

import { start } from '../support/provider.js';

const PEOPLE = {
  'idp-1': { email: 'linked@lab.example', email_verified: true, name: 'Linked', groups: ['postern-auditors'] },
  'idp-2': { email: 'new@payer.example', email_verified: true, name: 'New Viewer', groups: ['plan-viewers'] },
  'idp-3': { email: 'linked@lab.example', email_verified: true, name: 'Impostor', groups: ['postern-auditors'] },
  'idp-4': { email: 'nobody@lab.example', email_verified: true, name: 'Nobody', groups: [] },
};

export async function journey(me, world) {
  const provider = await start(world.provider, world.url, PEOPLE);
  me.elsewhere = [provider.issuer];
  // Its forms want a typeface from far away.
  await me.page.context().route(/^https:/, route => route.fulfill({ contentType: 'text/css', body: '' }));
  try {
    await world.person('linked@lab.example', 'auditor');
    await me.go('/sign-in');
    await me.inspect('sign-in');

    // Straight to the page they wanted, with the role they were given here.
    await me.go('/audit');
    await through(me, 'idp-1');
    me.must(new URL(me.page.url()).pathname === '/audit', 'is not at the page they wanted');
    await me.mustSee('provider linked');
    await leave(me);

    // Somebody new is made by their group, and sees that group's organization alone.
    me.forbid(['vision-labs', 'north-clinics']);
    await me.go('/sign-in');
    await through(me, 'idp-2');
    await me.mustSee('Overview');
    me.must((await me.go('/audit')) === 403, 'has more than a viewer has');
    await me.go('/account');
    await me.mustSee('new@payer.example');
    me.forbid([]);
    await leave(me);

    // The address of somebody else, and no group at all.
    for (const nobody of ['idp-3', 'idp-4']) {
      await me.go('/sign-in');
      await through(me, nobody);
      await me.mustSee('That did not work');
      await me.page.context().clearCookies();
    }
    await me.inspect('refused');
  } finally {
    await provider.close();
  }
}

/** Signs in at the provider as `id`, and comes back. */
async function through(me, id) {
  await me.follow('Sign in with your organization');
  await me.page.locator('input[name="login"]').fill(id);
  await me.page.locator('input[name="password"]').fill('anything');
  await me.after(() => me.page.locator('button[type="submit"]').click());
  // It asks whether we may know.
  while (me.page.url().includes('/interaction/')) await me.after(() => me.page.locator('button[type="submit"]').click());
}

/** Signs out here, then there. */
async function leave(me) {
  await me.signOut();
  await me.mustSee('You are signed out here');
  await me.follow('sign out there, too');
  await me.after(() => me.page.locator('button[value="yes"]').click());
  me.must(me.page.url().startsWith(me.world.url), 'was not led back after signing out there');
}
