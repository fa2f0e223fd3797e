import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** Whether an `Authorization` header carries the token. Takes equally long for any header, so that its time tells nothing of the token. */
export function bearerCheck(token: string): (authorization: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(token);
  return (authorization) => {
    const shown = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const isSame = timingSafeEqual(digest(shown ?? ''), expected);
    return isSame && shown !== undefined;
  };
}

/** Whether only programs on this machine reach a server that listens there: at `127.0.0.2`, but not at the name `127.example.org`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/**
 * Whether a `Host` header names this machine. A page of any web site may have its own name resolved to 127.0.0.1 and would then be allowed to
 * read what a local server answers; the header still tells the site's name.
 */
export function namesLoopback(hostHeader: string | undefined): boolean {
  return isLoopback((hostHeader ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'));
}
