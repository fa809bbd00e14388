// Codes as a telephone would show them (RFC 6238, SHA-1, six digits, half a minute).

import { createHmac } from 'node:crypto';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const STEP = 30_000;

function octets(base32) {
  const bits = [...base32.replace(/[\s=]/g, '')].map(letter => LETTERS.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g).map(byte => Number.parseInt(byte, 2)));
}

/** A telephone with one key. It never shows a code twice: the gateway takes each once. */
export class Telephone {
  #key;
  #last = 0;

  constructor(base32) {
    this.#key = octets(base32);
  }

  /** The next code that is good: of the present step, or of the one after it. Waits when both were used. */
  async code() {
    const present = () => Math.floor(Date.now() / STEP);
    const step = Math.max(present(), this.#last + 1);
    while (step > present() + 1) await new Promise(resolve => setTimeout(resolve, 250));
    this.#last = step;
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(step));
    const hash = createHmac('sha1', this.#key).update(counter).digest();
    const at = hash[19] & 15;
    return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
  }
}
