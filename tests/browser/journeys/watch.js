// Whoever watches over the other journeys does notice: each thing that must never happen is made to happen on a page.

import { Visitor } from '../support/visitor.js';

const WRONGS = {
  'asked https://elsewhere.example/a.gif': () => { new Image().src = 'https://elsewhere.example/a.gif'; },
  'against the policy (connect-src)': () => { fetch('https://elsewhere.example/').catch(() => {}); },
  'against the policy (script-src-elem)': () => {
    document.body.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.wrong = 1' }));
  },
  'a script failed: broken': () => { setTimeout(() => { throw new Error('broken'); }); },
  'critical: Form elements must have labels': () => { document.querySelector('label').replaceWith(document.querySelector('input[name="login"]')); },
  'serious: Elements must meet minimum color contrast': () => { document.querySelector('h1').style.color = '#ddd'; },
  'too wide for a telephone': () => {
    const wide = document.createElement('div');
    wide.style.width = '900px';
    document.querySelector('main').append(wide);
  },
};

export async function journey(me, world) {
  const watched = await Visitor.come('watched', me.page.context().browser(), world, me.pictures);
  for (const [notice, wrong] of Object.entries(WRONGS)) {
    await watched.go('/sign-in');
    me.must(watched.faults.length === 0, `sees faults where nothing is wrong: ${watched.faults}`);
    await watched.page.evaluate(wrong);
    await watched.inspect('wrong');
    me.must(watched.faults.some(fault => fault.includes(notice)), `does not notice: ${notice}; but ${watched.faults}`);
    watched.faults.length = 0;
  }
  watched.forbid(['Password']);
  await watched.go('/sign-in');
  me.must(watched.faults.some(fault => fault.includes('reads "Password"')), 'does not notice a forbidden word');
  await watched.leave();
}
