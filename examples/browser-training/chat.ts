import type { KnownSlot } from './messages';
import { element, node } from './page';

/** The chat and, beside it, what is known. */
export class Chat {
  readonly #send: (message: string) => void;
  readonly #stop: () => void;
  #reply: HTMLElement | undefined;
  #known = new Map<string, string | undefined>();

  constructor(actions: { readonly send: (message: string) => void; readonly stop: () => void; readonly forget: () => void }) {
    this.#send = actions.send;
    this.#stop = actions.stop;
    const input = element<HTMLInputElement>('message');
    element('form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#reply) this.#stop();
      else if (input.value.trim()) this.#say(input.value.trim());
    });
    element('suggestions').addEventListener('click', ({ target }) => {
      if (target instanceof HTMLButtonElement && !this.#reply) this.#say(target.textContent ?? '');
    });
    element('forget').addEventListener('click', () => {
      if (this.#reply) return;
      element('messages').replaceChildren();
      element('answer-status').textContent = 'Forgotten.';
      actions.forget();
    });
  }

  open(speaker: string): void {
    element('messages').replaceChildren();
    element('answer-status').textContent = '';
    element('speaker').textContent = speaker;
    element('chat').hidden = false;
  }

  close(): void {
    this.#reply = undefined;
    this.#known.clear();
    element('chat').hidden = true;
    element('send').textContent = 'Send';
  }

  /** More of the answer. */
  write(text: string): void {
    this.#reply?.append(text);
    scroll();
  }

  /** The end of the answer, with what there is to say about it. */
  end(status: string): void {
    if (this.#reply?.textContent === '') this.#reply.replaceWith(node('li', 'No answer', 'agent failed'));
    this.#reply = undefined;
    element('send').textContent = 'Send';
    element('answer-status').textContent = status;
    element('message').focus();
    scroll();
  }

  showProfile(slots: readonly KnownSlot[]): void {
    element('profile').replaceChildren(
      ...slots.map(({ label, value, source, evidence }) => {
        const row = document.createElement('div');
        const shown = node('dd', value ?? 'not known yet', value === undefined ? 'unknown' : '');
        if (value !== undefined) shown.append(node('small', evidence === undefined ? (source ?? '') : `${source}: “${evidence}”`));
        row.append(node('dt', label), shown);
        if (value !== undefined && value !== this.#known.get(label)) row.className = 'fresh';
        this.#known.set(label, value);
        return row;
      }),
    );
  }

  #say(message: string): void {
    element<HTMLInputElement>('message').value = '';
    element('answer-status').textContent = '';
    element('send').textContent = 'Stop';
    this.#reply = node('li', '', 'agent');
    element('messages').append(node('li', message, 'user'), this.#reply);
    scroll();
    this.#send(message);
  }
}

function scroll(): void {
  const log = element('messages');
  log.scrollTop = log.scrollHeight;
}
