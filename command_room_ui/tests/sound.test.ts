import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AlertSound } from "../src/sound";

/** The browser's sound: counts the tones, and is held back until it is resumed. */
class FakeAudio {
  static tones = 0;
  static state = "running";
  currentTime = 0;
  destination = {};

  get state(): string {
    return FakeAudio.state;
  }

  createOscillator() {
    const start = (): void => {
      FakeAudio.tones += 1;
    };
    return { frequency: { value: 0 }, connect: (next: unknown) => next, start, stop: () => undefined };
  }

  createGain() {
    const gain = { setValueAtTime: () => undefined, exponentialRampToValueAtTime: () => undefined };
    return { gain, connect: (next: unknown) => next };
  }

  resume(): Promise<void> {
    FakeAudio.state = "running";
    return Promise.resolve();
  }
}

let sound: AlertSound;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("AudioContext", FakeAudio);
  [FakeAudio.tones, FakeAudio.state] = [0, "running"];
  sound = new AlertSound();
});

afterEach(() => {
  sound.ring(false);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the alert sound", () => {
  it("is two tones at once and every 2.5 seconds until it is silenced", () => {
    sound.ring(true);
    expect(FakeAudio.tones).toBe(2);
    vi.advanceTimersByTime(5000);
    expect(FakeAudio.tones).toBe(6);
    sound.ring(false);
    vi.advanceTimersByTime(60_000);
    expect(FakeAudio.tones).toBe(6);
  });

  it("does not begin again where it sounds already", () => {
    sound.ring(true);
    sound.ring(true);
    vi.advanceTimersByTime(2500);
    expect(FakeAudio.tones).toBe(4);
  });

  it("is known to be held back by the browser, and sounds once the person has touched the page", async () => {
    FakeAudio.state = "suspended";
    sound.ring(true);
    expect([sound.blocked, FakeAudio.tones]).toEqual([true, 0]);
    await sound.unblock();
    vi.advanceTimersByTime(2500);
    expect([sound.blocked, FakeAudio.tones]).toEqual([false, 2]);
  });
});
