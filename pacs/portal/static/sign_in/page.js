/* The sign-in: a page of its own, or inside of a page that has lost its session (see guard.js). */
(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const isEmbedded = asked.has('embedded') && window.parent !== window;
  if (isEmbedded) root.dataset.embedded = '';

  // The study list's own choice; it begins dark.
  let theme = null;
  try {
    theme = localStorage.getItem('mantine-color-scheme-value');
  } catch {
    // A browser that keeps nothing.
  }
  root.dataset.theme = theme === 'light' || theme === 'auto' ? theme : 'dark';

  /** Where to go on: never to another site, whatever the address says. */
  const next = () => {
    try {
      const wanted = new URL(asked.get('next') || '/', location.origin);
      // What the list was asked for stands behind the #, which browsers keep when they are led here.
      const hash = wanted.hash || (isEmbedded ? '' : location.hash);
      return wanted.origin === location.origin ? wanted.pathname + wanted.search + hash : '/';
    } catch {
      return '/';
    }
  };

  const messageOf = async (answer) => {
    try {
      return (await answer.json()).error.message;
    } catch {
      return 'The server cannot be reached. Try again.';
    }
  };

  const signIn = async (form) => {
    const button = form.querySelector('button');
    const problem = document.getElementById('problem');
    const { name, password } = form.elements;
    button.disabled = true;
    problem.textContent = '';
    const answer = await fetch('/api/session', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: name.value, password: password.value }),
    }).catch(() => null);
    if (answer?.ok) {
      await answer.text();
      // Every page of this browser that waits looks again who is signed in.
      new BroadcastChannel('sign-in').postMessage('signed in');
      if (!isEmbedded) location.replace(next());
      return;
    }
    problem.textContent = await messageOf(answer);
    button.disabled = false;
    password.focus();
    password.select();
  };

  document.addEventListener('DOMContentLoaded', () => {
    const form = document.forms[0];
    const known = isEmbedded && new URLSearchParams(location.hash.slice(1)).get('name');
    form.elements.next.value = next();
    if (known) form.elements.name.value = known;
    (known ? form.elements.password : form.elements.name).focus();
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void signIn(form);
    });
  });
})();
