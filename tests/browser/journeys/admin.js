// The admin: organizations, people and tokens, the audit trail, and every other page there is.

export async function journey(me, world) {
  const first = await world.person('admin@lab.example', 'admin');
  await me.go('/sign-in');
  await me.inspect('sign-in');
  await me.firstSignIn('admin@lab.example', first);
  const places = ['', 'deliveries', 'worklist', 'inbox', 'organizations', 'fees', 'directory', 'trust', 'alerts', 'health', 'audit', 'people', 'account'];
  for (const place of places) {
    const from = Date.now();
    me.must((await me.go(`/${place}`)) === 200, `cannot see /${place}`);
    me.must(Date.now() - from < 3_000, `waits ${Date.now() - from} ms for /${place}`);
    await me.inspect(place || 'overview');
  }
  await me.go('/audit');
  await me.mustSee('admin@lab.example');
  await me.go('/organizations');
  await me.follow('Vision Labs');
  await me.inspect('organization');
  await me.go('/people');
  await me.mustSee('admin@lab.example');
  await me.go('/account/password');
  await me.inspect('password');
  await me.go('/account/codes');
  await me.inspect('codes');
  await me.go('/account');
  await me.signOut();
}
