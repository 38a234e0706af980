// The charts, fed once a second: lookup times, packets by type, drops by reason, and the event loop.

import { $ } from "./dom.js";
import { Chart } from "./charts.js";

const LONGEST_SECONDS = 900;
const WINDOW_MS = 30000; // lookups of this time make up the percentiles

export class Metrics {
  constructor() {
    const chart = (id, title, unit, empty) => new Chart($(id), { title, unit, empty, seconds: LONGEST_SECONDS });
    this.latency = chart("chart-latency", "Lookup time", "ms, percentiles of the last 30 s", "No lookups yet. Find a key under Values.");
    this.traffic = chart("chart-traffic", "Packets", "per second", "No packets yet.");
    this.bandwidth = chart("chart-bandwidth", "Traffic", "kB per second, without headers", "No packets yet.");
    this.requests = chart("chart-requests", "Requests served by type", "per second", "No requests yet: no other node has asked.");
    this.drops = chart("chart-drops", "Dropped packets by reason", "per second", "Nothing was dropped since this page was opened.");
    $("chart-seconds").addEventListener("change", () => {
      const charts = [this.latency, this.traffic, this.bandwidth, this.requests, this.drops];
      for (const each of charts) each.show(Number($("chart-seconds").value));
    });
    /** @type {Array<{time: number, ms: number}>} */
    this.durations = [];
  }

  /** @param {number} seconds the duration of a lookup */
  lookup(seconds) {
    this.durations.push({ time: Date.now(), ms: seconds * 1000 });
  }

  /**
   * Show the counts of a second.
   * @param {{packets_in: number, packets_out: number, bytes_in: number, bytes_out: number, requests: Record<string, number>, dropped: Record<string, number>}} rates
   */
  second(rates) {
    this.traffic.add({ in: rates.packets_in, out: rates.packets_out });
    this.bandwidth.add({ in: rates.bytes_in / 1000, out: rates.bytes_out / 1000 });
    this.requests.add(rates.requests);
    this.drops.add(rates.dropped);
    const since = Date.now() - WINDOW_MS;
    this.durations = this.durations.filter(({ time }) => time > since);
    const found = this.percentiles();
    if (found) this.latency.add(found);
  }

  /** The percentiles of recent lookups in ms, or null without any. */
  percentiles() {
    const sorted = this.durations.map(({ ms }) => ms).sort((one, other) => one - other);
    if (!sorted.length) return null;
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
