// One short, soft tone for a new lead. Off until somebody turns it on; browsers let nothing sound before a tap anyway.

const KEPT = "frontrow.sales.sound";

export class Sound {
  constructor(storage) {
    this._storage = storage;
    this._context = null;
    this.on = false;
    try {
      this.on = storage.getItem(KEPT) === "on";
    } catch {
      // it stays off
    }
  }

  toggle() {
    this.on = !this.on;
    try {
      this._storage.setItem(KEPT, this.on ? "on" : "off");
    } catch {
      // it is so for this visit
    }
    this.ring();
  }

  ring() {
    if (!this.on) return;
    this._context ??= new AudioContext();
    const { currentTime, destination } = this._context;
    const gain = this._context.createGain();
    gain.gain.setValueAtTime(0.08, currentTime);
    gain.gain.exponentialRampToValueAtTime(0.0001, currentTime + 0.4);
    const tone = this._context.createOscillator();
    tone.frequency.value = 660;
    tone.connect(gain).connect(destination);
    tone.start(currentTime);
    tone.stop(currentTime + 0.4);
  }
}
