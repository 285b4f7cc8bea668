
/*
 * Keeps a page going over the loss of its session.
 *
 * A request that is answered with 401 does not come back to whoever made it. It waits while a sign-in stands over the
 * page, and is made once more after it: so a viewer that knows nothing of sessions never sees one end, and nothing that
 * was typed or measured is lost. When somebody else signs in, the page begins anew under his name.
 * It must run before every other script: whoever takes XMLHttpRequest first is heard first.
 */
(() => {
  const access = $ACCESS;
  const SESSION = '/api/session';
  const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];
  const pause = Math.min(60, access.idleSeconds / 10) * 1000;
  const rawFetch = window.fetch.bind(window);
  const RawRequest = window.XMLHttpRequest;
  const isOurs = (url) => new URL(url, location.href).origin === location.origin;

  let user = null; // Whose page this is.
  let touched = Date.now();
  const isIdle = () => access.required && Date.now() - touched > pause;

  /** What the server knows of us; null when it does not say: it is away, or something before it asks for a login. */
  const look = async () => {
    try {
      const answer = await rawFetch(SESSION, { headers: isIdle() ? { 'X-Idle': '1' } : {}, cache: 'no-store' });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  };

  // The sign-in over the page.
  let dialog = null;
  const stopKeys = (event) => {
    // Keys that do not reach the form must not reach the page below: they are commands there.
    event.stopImmediatePropagation();
    if (dialog.contains(event.target)) return;
    event.preventDefault();
    dialog.querySelector('iframe, a')?.focus();
  };

  const form = () => {
    const frame = document.createElement('iframe');
    frame.title = 'Sign in';
    frame.src = `/login?embedded=1#name=${encodeURIComponent(user ?? '')}`;
    frame.style.cssText = 'display:block;border:0;width:min(24rem,92vw);height:26rem;color-scheme:normal';
    // OHIF takes the focus from whatever has it when the pointer enters a picture.
    frame.blur = () => {};
    frame.onload = () => {
      frame.style.height = `${frame.contentDocument?.querySelector('form')?.scrollHeight ?? 416}px`;
      frame.focus();
    };
    return frame;
  };

  /** For a login that is not ours, that of a proxy: it cannot be shown in a frame. */
  const notice = (goOn) => {
    const box = document.createElement('div');
    box.style.cssText = 'padding:24px;max-width:24rem;font:16px/1.5 system-ui,sans-serif;color:#cfd9e0';
    const text = document.createElement('p');
    text.textContent = 'Your session has ended. Sign in again in a new window, then go on here: nothing is lost.';
    const link = Object.assign(document.createElement('a'), { href: '/', target: '_blank', rel: 'noopener', textContent: 'Sign in' });
    link.style.cssText = 'color:#35b3ee;margin-right:24px';
    const button = Object.assign(document.createElement('button'), { textContent: 'Go on', onclick: goOn });
    button.style.cssText = 'background:#1ba8e9;color:#06222f;border:0;border-radius:8px;padding:8px 16px;font:inherit;cursor:pointer';
    box.append(text, link, button);
    return box;
  };

  const show = (content) => {
    dialog = document.createElement('dialog');
    dialog.id = 'signed-out';
    dialog.setAttribute('aria-label', 'Sign in');
    // Dialogs of the page below may have switched the pointer off for everything else.
    dialog.style.cssText =
      'padding:0;border:1px solid #2c3c46;border-radius:12px;overflow:hidden;background:#121a20;margin:auto;pointer-events:auto';
    const style = document.createElement('style');
    style.textContent = '#signed-out::backdrop{background:rgba(11,17,21,.55);backdrop-filter:blur(14px)}';
    const opened = dialog;
    opened.addEventListener('cancel', (event) => event.preventDefault());
    // Nor is what happens here a click beside them, which would close them.
    for (const kind of ['pointerdown', 'mousedown', 'touchstart', 'click', 'focusin', 'focusout']) {
      opened.addEventListener(kind, (event) => event.stopPropagation());
    }
    opened.addEventListener('close', () => opened === dialog && opened.showModal());
    opened.append(style, content);
    document.body.append(opened);
    opened.showModal();
    content.focus();
    for (const kind of ['keydown', 'keypress', 'keyup']) window.addEventListener(kind, stopKeys, true);
  };

  const hide = () => {
    for (const kind of ['keydown', 'keypress', 'keyup']) window.removeEventListener(kind, stopKeys, true);
    const shown = dialog;
    dialog = null;
    shown?.close();
    shown?.remove();
  };

  /** Resolves when the person of this page is signed in. */
  const askForSignIn = async () => {
    const said = await look();
    if (said?.user) return goOnAs(said.user);
    const isOwn = said?.sign_in === 'required';
    await new Promise((resolve) => {
      const again = async () => {
        const found = await look();
        if (isOwn ? !found?.user : !found) return;
        signIns.removeEventListener('message', again);
        hide();
        resolve(goOnAs(found.user));
      };
      // Also when the sign-in took place in another window.
      signIns.addEventListener('message', again);
      show(isOwn ? form() : notice(again));
    });
    for (const element of failed) reload(element);
    failed.clear();
  };

  const goOnAs = (name) => {
    if (user === name || !access.required) return undefined;
    // What is on the screen is another person's, and what the list was asked for behind the address's # as well: begin
    // anew, and let nothing that waits go on meanwhile.
    history.replaceState(null, '', location.pathname + location.search);
    location.reload();
    return new Promise(() => {});
  };

  const signIns = new BroadcastChannel('sign-in');
  let asking = null;
  /** One dialog, however many requests wait for it. */
  const signedIn = () => {
    asking ??= askForSignIn().finally(() => {
      asking = null;
    });
    return asking;
  };

  window.fetch = async (input, init) => {
    if (!isOurs(input instanceof Request ? input.url : input)) return rawFetch(input, init);
    if (isIdle()) {
      input = new Request(input, init);
      init = undefined;
      input.headers.set('X-Idle', '1');
    }
    // Bodies that are streams can be read once: what may have to be sent again is a copy.
    if (init?.body instanceof ReadableStream) {
      input = new Request(input, init);
      init = undefined;
    }
    const spare = input instanceof Request ? input.clone() : input;
    const answer = await rawFetch(input, init);
    if (answer.status !== 401) return answer;
    await signedIn();
    return rawFetch(spare, init);
  };

  class WaitingRequest extends RawRequest {
    #opened = null;
    #headers = [];
    #body = null;
    #isLost = false;
    #mayWait = true;

    constructor() {
      super();
      // Before anybody else can: these listeners decide what the others hear.
      for (const kind of ['readystatechange', 'progress', 'load', 'loadend', 'loadstart']) {
        super.addEventListener(kind, (event) => this.#hear(event));
      }
    }

    open(method, url, isAsync = true, ...credentials) {
      this.#opened = [method, new URL(url, location.href).href, isAsync, ...credentials];
      this.#headers = [];
      this.#isLost = false;
      this.#mayWait = isAsync && isOurs(url);
      super.open(...this.#opened);
    }

    setRequestHeader(name, value) {
      super.setRequestHeader(name, value);
      this.#headers.push([name, value]);
    }

    send(body = null) {
      this.#body = this.#mayWait ? body : null;
      if (this.#mayWait && isIdle()) super.setRequestHeader('X-Idle', '1');
      super.send(body);
    }

    abort() {
      const wasWaiting = this.#isLost;
      this.#isLost = false;
      this.#mayWait = false;
      super.abort();
      if (!wasWaiting) return;
      this.dispatchEvent(new ProgressEvent('abort'));
      this.dispatchEvent(new ProgressEvent('loadend'));
    }

    #hear(event) {
      if (this.#mayWait && !this.#isLost && this.readyState >= 2 && this.status === 401) this.#isLost = true;
      if (!this.#isLost) return;
      event.stopImmediatePropagation();
      if (event.type === 'loadend') void this.#sendAgain();
    }

    async #sendAgain() {
      await signedIn();
      if (!this.#isLost) return;
      super.open(...this.#opened); // Keeps responseType, timeout and withCredentials; what it says is not heard.
      for (const [name, value] of this.#headers) super.setRequestHeader(name, value);
      this.#isLost = false;
      this.#mayWait = false;
      super.send(this.#body);
      this.#body = null;
    }
  }
  window.XMLHttpRequest = WaitingRequest;

  // Pictures, videos and documents are fetched by their elements, which cannot wait: they are asked to try again.
  const failed = new Set();
  const reload = (element) => {
    if (!element.isConnected) return;
    if (element instanceof HTMLImageElement) element.src = element.src;
    else if (element instanceof HTMLObjectElement) element.data = element.data;
    else if (element instanceof HTMLMediaElement) {
      const { currentTime, paused } = element;
      element.load();
      element.currentTime = currentTime;
      if (!paused) void element.play().catch(() => {});
    }
  };

  if (!access.required) return;
  window.addEventListener(
    'error',
    (event) => {
      const element = event.target instanceof HTMLSourceElement ? event.target.parentElement : event.target;
      if (!(element instanceof HTMLImageElement || element instanceof HTMLMediaElement || element instanceof HTMLObjectElement)) return;
      failed.add(element);
      check();
    },
    true,
  );
  for (const kind of INPUTS) window.addEventListener(kind, () => (touched = Date.now()), { capture: true, passive: true });

  /** Tells the server that somebody is here, and notices the end of a session before anything is asked for. */
  let checking = false;
  const check = async () => {
    if (checking || asking) return;
    checking = true;
    const said = await look();
    checking = false;
    if (said?.user) {
      user ??= said.user;
      if (user !== said.user) goOnAs(said.user);
    } else if (said) void signedIn();
    if (said?.user) failed.clear();
  };
  void check();
  setInterval(check, pause);
})();
