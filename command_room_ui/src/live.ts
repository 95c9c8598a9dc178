/**
 * The page's live socket: msgpack maps in both directions, reconnection, detection of silence.
 *
 * Owns: the WebSocket and the measurement of the relay's clock over it.  Must never know: what the messages mean to the wall.
 */

import { decode, encode } from "@msgpack/msgpack";
import { Backoff } from "./backoff";
import { ServerClock } from "./delay";
import type { FromPage } from "./generated/live";
import { type LiveMessage, readMessage } from "./live_state";

export type SocketState = "connecting" | "open" | "closed";

export interface LiveEvents {
  message(message: LiveMessage): void;
  state(state: SocketState): void;
}

const TIME_PERIOD_MS = 2000;
/** The relay answers each `time`.  Three unanswered ones mean that the connection is dead, even while TCP keeps it open. */
const SILENCE_MS = 6500;

export class LiveSocket {
  readonly clock = new ServerClock();
  #socket: WebSocket | null = null;
  #state: SocketState = "closed";
  #wanted = false;
  #lastMessageAt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #backoff = new Backoff();
  /** Messages that could not be read; shown by `window.__relay`. */
  garbled = 0;

  constructor(
    private readonly url: string,
    private readonly events: LiveEvents,
  ) {}

  get state(): SocketState {
    return this.#state;
  }

  start(): void {
    this.#wanted = true;
    this.#timer = setInterval(() => this.#onTimer(), TIME_PERIOD_MS);
    this.#connect();
  }

  stop(): void {
    this.#wanted = false;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#abandon();
    this.#socket = null;
    this.#setState("closed");
  }

  /** Send a message.  Return false while the socket is not open; the caller sends it again later. */
  send(message: FromPage): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(encode(message));
    return true;
  }

  #connect(): void {
    if (!this.#wanted) return;
    this.#setState("connecting");
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#lastMessageAt = performance.now();
    socket.onopen = () => this.#onOpen(socket);
    socket.onmessage = (event) => this.#onMessage(socket, event.data);
    socket.onclose = () => this.#onClose(socket);
  }

  #onOpen(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#lastMessageAt = performance.now();
    this.#setState("open");
    this.#askTime();
  }

  #onMessage(socket: WebSocket, data: unknown): void {
    if (socket !== this.#socket || !(data instanceof ArrayBuffer)) return;
    this.#lastMessageAt = performance.now();
    this.#backoff.reset();
    const message = this.#read(data);
    if (message === null) return;
    if (message.t === "time") this.clock.sample(message.echo, this.#lastMessageAt, message.serverMs);
    this.events.message(message);
  }

  #read(data: ArrayBuffer): LiveMessage | null {
    try {
      return readMessage(decode(data));
    } catch (error) {
      // msgpack throws RangeError, DecodeError and plain Errors for bytes that it cannot read: all are errors of the sender.
      if (!(error instanceof Error)) throw error;
      this.garbled += 1;
      return null;
    }
  }

  #onClose(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#setState("closed");
    if (!this.#wanted) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.next());
  }

  #onTimer(): void {
    const socket = this.#socket;
    if (socket !== null && performance.now() - this.#lastMessageAt > SILENCE_MS) {
      this.#abandon();
      this.#onClose(socket);
      return;
    }
    this.#askTime();
  }

  #askTime(): void {
    this.send({ t: "time", echo: performance.now() });
  }

  #abandon(): void {
    const socket = this.#socket;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #setState(state: SocketState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.events.state(state);
  }
}
