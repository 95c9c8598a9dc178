// Writes what a viewer's RTP packets hold: pictures as Annex B (RFC 6184), sound as packets with their length before them.
// Packets are taken in the order of their sequence numbers; one that is still missing after WAIT later ones is given up, and
// pictures go on with the next keyframe.
const WAIT = 256;

class InOrder {
  lost = 0;
  broken = false; // something was lost: what refers to it is of no use
  #out;
  #next = null;
  #waiting = new Map();

  constructor(out) {
    this.#out = out;
  }

  take(packet) {
    if (packet.length < 13 || (packet[1] >= 192 && packet[1] <= 223)) return; // RTCP (RFC 5761)
    const sequence = packet.readUInt16BE(2);
    this.#next ??= sequence;
    if (((sequence - this.#next) & 0xffff) >= 0x8000) return; // twice, or given up
    this.#waiting.set(sequence, Buffer.from(packet));
    if (this.#waiting.size > WAIT) {
      for (; !this.#waiting.has(this.#next); this.#next = (this.#next + 1) & 0xffff) {
        this.lost++;
        this.broken = true;
      }
    }
    for (let found; (found = this.#waiting.get(this.#next)); this.#next = (this.#next + 1) & 0xffff) {
      this.#waiting.delete(this.#next);
      const data = payload(found);
      if (data.length) this.write(data);
    }
  }

  put(...parts) {
    for (const part of parts) this.#out.write(part);
  }

  end() {
    return new Promise((resolve) => this.#out.end(resolve));
  }
}

function payload(packet) {
  let from = 12 + 4 * (packet[0] & 15);
  if (packet[0] & 16) from += 4 + 4 * packet.readUInt16BE(from + 2);
  const padding = packet[0] & 32 ? packet[packet.length - 1] : 0;
  return packet.subarray(from, packet.length - padding);
}

const START = Buffer.from([0, 0, 0, 1]);

export class Pictures extends InOrder {
  write(data) {
    const type = data[0] & 31;
    const [first, begins] = type === 24 ? [data[3] & 31, true] : type === 28 ? [data[1] & 31, data[1] & 128] : [type, true];
    if (this.broken && !(begins && [5, 7].includes(first))) return;
    this.broken = false;
    if (type < 24) this.put(START, data);
    else if (type === 24) {
      for (let at = 1; at + 2 <= data.length; at += 2 + data.readUInt16BE(at)) this.put(START, data.subarray(at + 2, at + 2 + data.readUInt16BE(at)));
    } else if (type === 28) {
      if (data[1] & 128) this.put(START, Buffer.from([(data[0] & 0xe0) | (data[1] & 31)]));
      this.put(data.subarray(2));
    } else throw new Error(`packet of type ${type}: not in packetization mode 1`);
  }
}

export class Sounds extends InOrder {
  write(data) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(data.length);
    this.put(length, data);
  }
}
