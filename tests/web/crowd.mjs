// Many peers that are nothing but registrations, each on its own connection, as docs/PROTOCOL.md has the bytes.
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const REGISTER = 0x10, HELLO = 0x01, PING = 0x03, MEMBER = 3, TOGETHER = 200, OF_ADDRESS = 1_000;
/** Well within the lease of a registration. */
const ALIVE_MS = 8_000;
const u8 = value => Buffer.from([value]);
const u16 = value => { const out = Buffer.alloc(2); out.writeUInt16BE(value); return out; };
const u32 = value => { const out = Buffer.alloc(4); out.writeUInt32BE(value); return out; };
const u64 = value => { const out = Buffer.alloc(8); out.writeBigUInt64BE(BigInt(value)); return out; };
const text = value => Buffer.concat([u16(Buffer.byteLength(value)), Buffer.from(value)]);
const frame = (message, request, body) => Buffer.concat([u32(5 + body.length), u8(message), u32(request), body]);
const PREFACE = Buffer.from('7032702f00010000', 'hex');

function hello(name) {
  return frame(HELLO, 1, Buffer.concat([u16(1), u16(1), u64(0), u8(MEMBER), randomBytes(16), u16(0), text(name), text('crowd')]));
}

/** A file of one chunk that is whole, and an original. */
function offer(name) {
  const size = 1 + name.length;
  return Buffer.concat([text(name), createHash('sha256').update(name).digest(), u64(size), u64(size), u32(1), u8(1), u8(1), u64(1_700_000_000)]);
}

/** A connection on which a peer with these names is registered. Each of so many comes from an address of its own, for one may have a
 * part of a tracker's connections only. */
function register(at, peer, names) {
  const [host, port] = [at.slice(0, at.lastIndexOf(':')), Number(at.slice(at.lastIndexOf(':') + 1))];
  return new Promise((done, fail) => {
    const socket = connect({ port, host, localAddress: `127.0.${1 + Math.floor(peer / OF_ADDRESS)}.1` });
    let heard = Buffer.alloc(0);
    socket.on('error', fail);
    socket.on('data', piece => {
      heard = Buffer.concat([heard, piece]);
      let from = PREFACE.length;
      for (let number = 0; heard.length >= from + 9; number++) {
        const length = heard.readUInt32BE(from), message = heard[from + 4];
        if (heard.length < from + 4 + length) return;
        if (message === 0x02) return fail(new Error(heard.subarray(from + 13, from + 4 + length).toString()));
        if (number === 1) { socket.removeAllListeners('data'); socket.resume(); return done(socket); }
        from += 4 + length;
      }
    });
    const offers = names.map(offer);
    const body = Buffer.concat([u16(0), u32(0), u32(offers.length), ...offers]);
    socket.write(Buffer.concat([PREFACE, hello(`peer-${peer}`), frame(REGISTER, 2, body)]));
  });
}

/** So many peers, each with so many names of its own; the tracker forgets them when they are let go. */
export async function crowd(at, peers, each) {
  const sockets = [];
  const name = number => `folder-${number % 100}/file-${String(number).padStart(6, '0')}.dat`;
  const come = peer => register(at, peer, Array.from({ length: each }, (_, which) => name(peer * each + which)));
  for (let first = 0; first < peers; first += TOGETHER) {
    const some = Array.from({ length: Math.min(TOGETHER, peers - first) }, (_, one) => come(first + one));
    sockets.push(...await Promise.all(some));
  }
  const alive = setInterval(() => sockets.forEach(socket => socket.write(frame(PING, 3, Buffer.alloc(0)))), ALIVE_MS);
  return () => { clearInterval(alive); sockets.forEach(socket => socket.destroy()); };
}
