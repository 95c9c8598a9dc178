/**
 * The alert sound: two synthesised tones, repeated until a person has seen the alarm.
 *
 * Owns: the audio context.  Must never know: what the alarm is about.
 */

const REPEAT_MS = 2500;
const TONES_HZ = [880, 1175];

export class AlertSound {
  #context: AudioContext | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Whether the browser blocks the sound until the person has touched the page. */
  get blocked(): boolean {
    return this.#context !== null && this.#context.state !== "running";
  }

  /** Ring or be silent.  A repeated call changes nothing. */
  ring(wanted: boolean): void {
    if (!wanted) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    if (this.#timer !== undefined) return;
    this.#context ??= new AudioContext();
    this.#play();
    this.#timer = setInterval(() => this.#play(), REPEAT_MS);
  }

  /** Call this from a click of the person: only then does the browser allow sound. */
  async unblock(): Promise<void> {
    this.#context ??= new AudioContext();
    await this.#context.resume();
  }

  #play(): void {
    const context = this.#context;
    if (context?.state !== "running") return;
    for (const [index, hertz] of TONES_HZ.entries()) tone(context, hertz, context.currentTime + index * 0.22);
  }
}

function tone(context: AudioContext, hertz: number, at: number): void {
  const oscillator = context.createOscillator();
  const gain = context.createGain();
  oscillator.frequency.value = hertz;
  gain.gain.setValueAtTime(0.0001, at);
  gain.gain.exponentialRampToValueAtTime(0.25, at + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.2);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + 0.21);
}
