/* The viewer's configuration, made from our settings. It runs before the viewer does. */
window.config = $CONFIG;

/* A session that ends while somebody reads: say so over the picture and leave everything as it is. OHIF alone would go to "study not found". */
(() => {
  let shown = false;
  const ask = (status, url) => {
    if (status !== 401 || shown || new URL(url, location.href).origin !== location.origin) return;
    shown = true;
    const box = document.createElement('dialog');
    box.id = 'signed-out';
    box.style.cssText =
      'border:1px solid #5acce6;border-radius:8px;padding:24px;background:#041c4a;color:#fff;font:16px system-ui,sans-serif;max-width:24rem';
    const text = document.createElement('p');
    text.textContent = 'Your session has ended. Sign in again in a new window, then go on reading here: nothing is lost.';
    const link = document.createElement('a');
    link.href = '/';
    link.target = '_blank';
    link.rel = 'noopener';
    link.textContent = 'Sign in';
    link.style.cssText = 'color:#5acce6;margin-right:24px';
    const done = document.createElement('button');
    done.textContent = 'Go on reading';
    done.style.cssText = 'background:#5acce6;color:#041c4a;border:0;border-radius:4px;padding:8px 16px;font:inherit;cursor:pointer';
    done.onclick = () => {
      shown = false;
      box.remove();
    };
    box.append(text, link, done);
    document.body.append(box);
    box.showModal();
  };
  const request = window.fetch;
  window.fetch = async (...args) => {
    const answer = await request(...args);
    ask(answer.status, answer.url);
    return answer;
  };
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...args) {
    this.addEventListener('readystatechange', () => {
      if (this.readyState === 2) ask(this.status, this.responseURL || location.href);
    });
    return send.apply(this, args);
  };
})();
