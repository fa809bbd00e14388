// Without a mouse: everything is reached by Tab, and what has the focus can be seen to have it.

export async function journey(me, world) {
  const order = await world.submit('lakeshore-plan', 'MOBILE1', 'KEYS01', 'pcp02@direct.lakeside.example');
  const first = await world.person('keys@lab.example', 'viewer', 'lakeshore-plan');
  await me.firstSignIn('keys@lab.example', first);
  await me.signOut();
  const { page } = me;

  // The name has the focus already.
  await me.go('/sign-in');
  await page.waitForFunction(() => document.activeElement.name === 'login');
  await page.keyboard.type('keys@lab.example');
  await page.keyboard.press('Tab');
  await page.keyboard.type(me.password);
  await me.after(() => page.keyboard.press('Enter'));
  await me.mustSee('Overview');

  // The first stop leads past the menu.
  await page.keyboard.press('Tab');
  me.must((await focused(page)).text === 'To the content', 'the first stop is not the way past the menu');
  await page.keyboard.press('Enter');
  me.must((await page.evaluate(() => document.activeElement.id)) === 'main', 'is not brought to the content');

  // By the menu to the deliveries, through the filters to the list, to one of them.
  await me.go('/');
  await tabTo(me, ({ text }) => text === 'Deliveries');
  await me.after(() => page.keyboard.press('Enter'));
  await tabTo(me, ({ name }) => name === 'state');
  await page.keyboard.type('acc');
  me.must((await page.evaluate(() => document.activeElement.value)) === 'accepted', 'cannot choose a state by typing');
  await tabTo(me, ({ text }) => text === 'Filter');
  await me.after(() => page.keyboard.press('Enter'));
  me.must(new URL(page.url()).searchParams.get('state') === 'accepted', 'did not filter');
  await me.picture('deliveries');
  await tabTo(me, ({ name }) => name === 'q');
  await page.keyboard.type('KEYS01');
  await me.after(() => page.keyboard.press('Enter'));
  me.must(page.url().includes(order.id), 'is not at the result');
  await tabTo(me, ({ text }) => text === 'Sign out');
  await me.after(() => page.keyboard.press('Enter'));
  me.must(new URL(page.url()).pathname === '/sign-in', 'is not signed out');
}

/** What has the focus, and whether that can be seen. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const { width, height } = element.getBoundingClientRect();
    return {
      tag: element.tagName,
      name: element.getAttribute('name'),
      text: element.innerText?.trim() ?? '',
      // Of a field for a time the browser marks the part that is typed into.
      seen: element.type === 'datetime-local' || (outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 && width > 1 && height > 1),
    };
  });
}

/** Presses Tab until what is wanted has the focus. Every stop on the way must be seen. */
async function tabTo(me, wanted) {
  for (let stop = 0; stop < 80; stop += 1) {
    await me.page.keyboard.press('Tab');
    const here = await focused(me.page);
    if (here.tag === 'BODY') continue;
    me.must(here.seen, `cannot see the focus on ${here.tag} ${here.name ?? here.text}`);
    if (wanted(here)) return;
  }
  me.must(false, 'does not get there by Tab');
}
