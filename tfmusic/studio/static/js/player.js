// Plays pieces on a sampled piano, with the Web Audio clock.

const SAMPLES = Array.from({ length: 30 }, (_, i) => 21 + 3 * i);
const AHEAD = 0.25; // seconds that are scheduled ahead
const AHEAD_HIDDEN = 1.6; // where the browser wakes a hidden page once a second
const TICK = 60; // milliseconds
const LAST_DAMPED = 89; // the strings above have no dampers

export class Player extends EventTarget {
  /** `sounds`: MP3 files in base64, by pitch; else the server has them. */
  constructor(sounds = null) {
    super();
    this.sounds = sounds;
    this.piece = null;
    this.playing = false;
    this.loop = false;
    this.region = null; // [start, end] in seconds, or null
    this.rate = 1;
    this.volume = 0.8;
    this.at = 0; // where it stands while it does not play
    this.sounding = new Set();
  }

  /** The position in the piece, in its own seconds. */
  get position() {
    if (!this.playing) return this.at;
    const [begin, end] = this.span;
    const at = this.sinceAnchor;
    // The timer begins a new lap a little late.
    return this.loop && at >= end ? begin + ((at - end) % (end - begin)) : at;
  }

  get sinceAnchor() {
    return this.anchor + (this.context.currentTime - this.anchorTime) * this.rate;
  }

  /** The loudness of what is heard now, 0..1. */
  get level() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  }

  open(piece) {
    if (this.piece === piece) return;
    this.stop();
    this.piece = piece;
    this.region = null;
    this.emit();
  }

  emit() {
    this.dispatchEvent(new Event("change"));
  }

  async play() {
    if (!this.piece || this.playing || this.starting) return;
    this.starting = true;
    try {
      await this.prepare();
    } finally {
      this.starting = false;
    }
    const end = this.piece.seconds;
    if (this.at >= end - 0.01) this.at = 0;
    if (this.loop && this.region && !inside(this.at, this.region)) {
      this.at = this.region[0];
    }
    this.playing = true;
    this.restart(this.at);
    this.timer = setInterval(() => this.tick(), TICK);
    this.emit();
  }

  pause() {
    if (!this.playing) return;
    this.at = this.position;
    this.playing = false;
    clearInterval(this.timer);
    this.silence();
    this.emit();
  }

  stop() {
    this.pause();
    this.at = this.region && this.loop ? this.region[0] : 0;
    this.emit();
  }

  seek(seconds) {
    this.at = Math.min(Math.max(seconds, 0), this.piece?.seconds ?? 0);
    if (this.playing) {
      this.silence();
      this.restart(this.at);
    }
    this.emit();
  }

  setRate(rate) {
    const at = this.position;
    this.rate = rate;
    if (this.playing) {
      this.silence();
      this.restart(at);
    }
    this.emit();
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.master) {
      this.master.gain.setTargetAtTime(volume ** 1.6, this.context.currentTime, 0.02);
    }
  }

  /** The notes have changed: what is scheduled is not to be heard any more. */
  refresh() {
    if (this.playing) this.seek(this.position);
  }

  /** One note at once, as when it is drawn. */
  async preview(pitch, velocity = 80) {
    await this.prepare();
    this.sound(pitch, velocity, this.context.currentTime, 0.35, false);
  }

  async prepare() {
    if (!this.context) {
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.master = new GainNode(this.context, { gain: this.volume ** 1.6 });
      const limiter = new DynamicsCompressorNode(this.context, {
        threshold: -12, knee: 12, ratio: 6, attack: 0.003, release: 0.2,
      });
      this.analyser = new AnalyserNode(this.context, { fftSize: 2048 });
      this.master.connect(limiter).connect(this.analyser);
      this.analyser.connect(this.context.destination);
      this.noise = makeNoise(this.context);
    }
    if (this.context.state !== "running") await this.context.resume();
    this.loading ??= this.load().catch((error) => {
      this.loading = null; // so that the next attempt loads again
      throw error;
    });
    await this.loading;
  }

  async load() {
    const load = async (pitch) => {
      const buffer = await this.context.decodeAudioData(await this.read(pitch));
      return [pitch, { buffer, offset: firstSound(buffer) }];
    };
    const pitches = this.sounds ? Object.keys(this.sounds).map(Number) : SAMPLES;
    this.samples = new Map(await Promise.all(pitches.map(load)));
  }

  async read(pitch) {
    if (this.sounds) return Uint8Array.from(atob(this.sounds[pitch]), toCode).buffer;
    const response = await fetch(`/static/piano/${pitch}.mp3`);
    if (!response.ok) throw new Error("the sound of the piano cannot be loaded");
    return response.arrayBuffer();
  }

  nearestSample(pitch) {
    const away = (other) => Math.abs(other - pitch);
    return [...this.samples.keys()].reduce((a, b) => (away(b) < away(a) ? b : a));
  }

  restart(at) {
    this.anchor = at;
    this.anchorTime = this.context.currentTime + 0.03;
    // How far it is scheduled: ahead of what is heard, in the next lap of a loop too.
    this.lap = { from: at, time: this.anchorTime, next: this.firstNote(at) };
    this.tick();
  }

  firstNote(at) {
    const notes = this.piece.notes;
    const found = notes.findIndex((note) => note[1] >= at - 1e-6);
    return found < 0 ? notes.length : found;
  }

  /** Where a lap begins and ends, in seconds of the piece. */
  get span() {
    const span = this.loop && this.region ? this.region : [0, this.piece.seconds];
    return [span[0], Math.max(span[1], span[0] + 0.2)];
  }

  tick() {
    const [begin, end] = this.span;
    const ahead = document.hidden ? AHEAD_HIDDEN : AHEAD;
    const horizon = this.context.currentTime + ahead;
    for (;;) {
      const lap = this.lap;
      this.schedule(lap, Math.min(lap.from + (horizon - lap.time) * this.rate, end), end);
      const over = lap.time + Math.max(end - lap.from, 0) / this.rate;
      if (!this.loop || over >= horizon) break;
      this.lap = { from: begin, time: over, next: this.firstNote(begin) };
    }
    if (this.sinceAnchor < end + (this.loop ? 0 : 0.4)) return;
    if (this.loop) {
      this.anchorTime += Math.max(end - this.anchor, 0) / this.rate;
      this.anchor = begin;
    } else {
      this.playing = false;
      clearInterval(this.timer);
      this.at = 0;
      this.emit();
    }
  }

  schedule(lap, until, end) {
    const notes = this.piece.notes;
    for (; lap.next < notes.length && notes[lap.next][1] < until; lap.next++) {
      const [pitch, start, stop, velocity, track] = notes[lap.next];
      const when = lap.time + (start - lap.from) / this.rate;
      const held = (Math.min(stop, end) - start) / this.rate;
      this.sound(pitch, velocity, when, held, this.piece.tracks[track]?.drums);
    }
  }

  sound(pitch, velocity, when, held, drums) {
    const now = this.context.currentTime;
    when = Math.max(when, now);
    const touch = velocity / 127;
    const gain = new GainNode(this.context, { gain: 0.5 * touch ** 1.5 });
    let source;
    if (drums) {
      source = new AudioBufferSourceNode(this.context, { buffer: this.noise });
      source.playbackRate.value = 2 ** ((pitch - 50) / 18);
      source.connect(gain).connect(this.master);
      source.start(when);
    } else {
      const nearest = this.nearestSample(pitch);
      const { buffer, offset } = this.samples.get(nearest);
      source = new AudioBufferSourceNode(this.context, { buffer });
      source.playbackRate.value = 2 ** ((pitch - nearest) / 12);
      // A soft touch is darker, not only softer.
      const frequency = Math.min(20000, 1200 + 15000 * touch ** 1.5);
      const filter = new BiquadFilterNode(this.context, { type: "lowpass", frequency });
      source.connect(filter).connect(gain).connect(this.master);
      source.start(when, offset);
      if (pitch < LAST_DAMPED) {
        const end = when + Math.max(held, 0.05);
        gain.gain.setTargetAtTime(0, end, 0.07);
        source.stop(end + 0.6);
      }
    }
    const voice = { source, gain };
    this.sounding.add(voice);
    source.onended = () => {
      this.sounding.delete(voice);
      gain.disconnect();
    };
  }

  silence() {
    const now = this.context.currentTime;
    for (const { source, gain } of this.sounding) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(0, now, 0.015);
      source.stop(now + 0.12);
    }
    this.sounding.clear();
  }
}

const toCode = (character) => character.charCodeAt(0);

const inside = (at, [start, end]) => at >= start - 0.01 && at < end - 0.01;

/** Where a sample begins to sound: MP3 decoders put silence before it. */
function firstSound(buffer) {
  const samples = buffer.getChannelData(0);
  const found = samples.findIndex((sample) => Math.abs(sample) > 0.01);
  return Math.max(found / buffer.sampleRate - 0.002, 0);
}

function makeNoise(context) {
  const length = Math.round(context.sampleRate * 0.18);
  const buffer = context.createBuffer(1, length, context.sampleRate);
  const samples = buffer.getChannelData(0);
  for (let i = 0; i < length; i++) {
    samples[i] = (Math.random() * 2 - 1) * Math.exp((-7 * i) / length) * 0.8;
  }
  return buffer;
}
