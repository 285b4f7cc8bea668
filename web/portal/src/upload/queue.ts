// The queue of files on their way to the server: a few at a time, each resumable, outside of React.

import { type DetailedError, Upload } from "tus-js-client";

import type { Found } from "./collect";
import { type Described, discard, ENDPOINT, type Listing, listing, type Result, resultOf, type Row } from "./server";

const AT_A_TIME = 4;
const CHUNK_BYTES = 32 * 1024 ** 2;
const SMALL_BYTES = 4 * 1024 ** 2; // Sent whole with the request that begins the upload.
const TELL_MILLISECONDS = 250;
const SPEED_SECONDS = 8;
const PREAMBLE_BYTES = 132;
// A server that restarts is waited for; each delay is in milliseconds, and what arrives starts them anew.
const RETRY_DELAYS = [0, 500, 1000, 1000, 1000, 2000, 2000, ...Array<number>(120).fill(5000)];

export type State = "waiting" | "sending" | "storing" | "done" | "refused" | "failed";

export interface Item {
  key: string;
  path: string;
  file: File;
  state: State;
  sent: number;
  note: string;
  fields: Record<string, string>;
  result?: Result;
}

export interface Refused {
  key: string;
  name: string;
  reason: string;
}

export interface Snapshot {
  items: readonly Item[];
  counts: Record<State, number>;
  stored: number;
  duplicates: number;
  ignored: number;
  refused: readonly Refused[];
  studies: readonly string[];
  sent: number;
  total: number;
  /** Bytes a second, of the last seconds. */
  speed: number;
  paused: boolean;
  interrupted: readonly Described[];
}

const fingerprint = (found: { path: string; size: number; modified: string }) => `${found.path}|${found.size}|${found.modified}`;
const keyOf = ({ file, path }: Found) => fingerprint({ path, size: file.size, modified: String(file.lastModified) });
const keyAt = ({ metadata, length }: Described) =>
  fingerprint({ path: metadata.path ?? "", size: length, modified: metadata.modified ?? "" });

const plain = (error: Error | DetailedError): string => {
  const body = "originalResponse" in error ? error.originalResponse?.getBody() : undefined;
  try {
    const message = (JSON.parse(body ?? "") as { error?: { message?: string } }).error?.message;
    if (message) return message;
  } catch {
    // No answer of our server: there is none, or a proxy has answered.
  }
  const status = "originalResponse" in error ? error.originalResponse?.getStatus() : undefined;
  return status ? `The server answered with status ${status}` : "The file cannot be read, or the server cannot be reached";
};

export class Queue {
  private items: Item[] = [];
  private known = new Map<string, Described>();
  private listed: Promise<Listing> | null = null;
  private running = new Map<Item, Upload | null>();
  private listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private samples: { at: number; sent: number }[] = [];
  private paused = false;
  private interrupted: Described[] = [];
  private snapshot: Snapshot = this.look();

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  read = (): Snapshot => this.snapshot;

  /** What the server has of earlier visits; asked for once, and again after it has failed. */
  open = (): Promise<Listing> => {
    this.listed ??= listing().then(
      (found) => {
        for (const upload of found.uploads) this.known.set(keyAt(upload), upload);
        this.interrupted = [...this.known.values()].filter((one) => one.state === "arriving" && one.metadata.path);
        this.tell();
        return found;
      },
      (error: unknown) => {
        this.listed = null;
        throw error;
      },
    );
    return this.listed;
  };

  /** The files that need a form: of formats that can be wrapped, and no DICOM whatever their names say. */
  async strangers(found: Found[]): Promise<Set<Found>> {
    const { formats } = await this.open();
    const strange = new Set<Found>();
    for (const one of found) {
      const ending = one.path.split(".").pop()?.toLowerCase() ?? "";
      if (!(ending in formats) || this.isDone(one)) continue;
      const head = await one.file.slice(0, PREAMBLE_BYTES).text().catch(() => "");
      if (!head.endsWith("DICM")) strange.add(one);
    }
    return strange;
  }

  private isDone = (found: Found): boolean => this.known.get(keyOf(found))?.state === "done";

  add(found: Found[], strangers: Set<Found> = new Set(), fields: Record<string, string> = {}): void {
    const there = new Set(this.items.filter((item) => item.state !== "failed").map((item) => item.key));
    this.items = this.items.filter((item) => item.state !== "failed" || !found.some((one) => keyOf(one) === item.key));
    let number = 0;
    for (const one of found) {
      const key = keyOf(one);
      if (there.has(key)) continue;
      there.add(key);
      const isStrange = strangers.has(one);
      const item: Item = { key, ...one, state: "waiting", sent: 0, note: "", fields: {} };
      if (isStrange) item.fields = { ...fields, InstanceNumber: String(++number) };
      this.items.push(item);
      this.interrupted = this.interrupted.filter((upload) => keyAt(upload) !== key);
      const result = this.known.get(key)?.result;
      // What arrived on an earlier visit is not sent again; what was refused then may be taken now.
      if (result && !result.counts.refused) this.settle(item, result, item.file.size);
    }
    this.next();
  }

  pause(): void {
    this.paused = true;
    for (const [item, upload] of this.running) {
      if (!upload) continue;
      void upload.abort();
      this.running.delete(item);
      item.state = "waiting";
    }
    this.tell();
  }

  resume(): void {
    this.paused = false;
    this.samples = [];
    this.next();
  }

  retry(): void {
    for (const item of this.items) if (item.state === "failed") Object.assign(item, { state: "waiting", note: "" });
    this.next();
  }

  /** Gives up what has not arrived; what is stored stays. */
  cancel(): void {
    for (const [item, upload] of this.running) {
      if (upload) void upload.abort(true).catch(() => undefined);
      else if (item.state === "storing") continue;
      this.running.delete(item);
    }
    const left = this.items.filter((item) => item.state === "waiting" && this.known.has(item.key));
    for (const item of left) void discard(this.known.get(item.key)?.id ?? "");
    for (const item of left) this.known.delete(item.key);
    this.items = this.items.filter((item) => ["done", "refused", "storing"].includes(item.state));
    this.tell();
  }

  /** Forgets what is finished. */
  clear(): void {
    this.items = this.items.filter((item) => !["done", "refused", "failed"].includes(item.state));
    this.tell();
  }

  async forgetInterrupted(): Promise<void> {
    const left = this.interrupted;
    this.interrupted = [];
    for (const upload of left) this.known.delete(keyAt(upload));
    this.tell();
    for (const upload of left) await discard(upload.id).catch(() => undefined);
  }

  private next(): void {
    for (const item of this.items) {
      if (this.paused || this.running.size >= AT_A_TIME) break;
      if (item.state === "waiting") this.send(item);
    }
    this.tell();
  }

  private send(item: Item): void {
    const before = this.known.get(item.key);
    item.state = "sending";
    const upload = new Upload(item.file, {
      endpoint: ENDPOINT,
      uploadUrl: before?.state === "arriving" ? `${ENDPOINT}/${before.id}` : null,
      metadata: { filename: item.file.name, path: item.path, modified: String(item.file.lastModified), ...item.fields },
      chunkSize: CHUNK_BYTES,
      uploadDataDuringCreation: item.file.size <= SMALL_BYTES,
      retryDelays: RETRY_DELAYS,
      storeFingerprintForResuming: false, // The server itself knows: names of files do not stay in this browser.
      onShouldRetry: ({ originalResponse }) => {
        const status = originalResponse?.getStatus() ?? 0;
        item.note = status === 0 ? "Waiting for the server" : "";
        this.tell();
        return status === 0 || status === 408 || status === 409 || status === 423 || (status >= 500 && status !== 507);
      },
      onUploadUrlAvailable: () => {
        const id = upload.url?.split("/").pop();
        const metadata = { path: item.path, modified: String(item.file.lastModified) };
        if (id) this.known.set(item.key, { id, state: "arriving", offset: 0, length: item.file.size, metadata });
      },
      onProgress: (sent) => {
        Object.assign(item, { sent, note: "" });
        this.tell();
      },
      onSuccess: ({ lastResponse }) => {
        this.running.set(item, null);
        void this.finish(item, upload.url ?? "", lastResponse.getBody());
      },
      onError: (error) => this.fail(item, plain(error)),
    });
    this.running.set(item, upload);
    upload.start();
  }

  private async finish(item: Item, url: string, body: string): Promise<void> {
    Object.assign(item, { state: "storing", sent: item.file.size });
    this.tell();
    try {
      const said = body.startsWith("{") ? (JSON.parse(body) as Described).result : undefined;
      const result =
        said ??
        (await resultOf(url, (reason) => {
          item.note = reason;
          this.tell();
        }));
      this.running.delete(item);
      this.settle(item, result, item.file.size);
    } catch (error) {
      this.known.delete(item.key);
      this.fail(item, (error as Error).message);
    }
    this.next();
  }

  private settle(item: Item, result: Result, sent: number): void {
    const { refused = 0, ...others } = result.counts;
    const good = Object.values(others).reduce((sum, count) => sum + count, 0);
    Object.assign(item, { result, sent, note: "", state: refused && !good ? "refused" : "done" });
  }

  private fail(item: Item, reason: string): void {
    this.running.delete(item);
    Object.assign(item, { state: "failed", note: reason });
    this.next();
  }

  private tell(): void {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.snapshot = this.look();
      for (const listener of this.listeners) listener();
    }, TELL_MILLISECONDS);
  }

  private look(): Snapshot {
    const counts: Record<State, number> = { waiting: 0, sending: 0, storing: 0, done: 0, refused: 0, failed: 0 };
    const studies = new Set<string>();
    const refused: Refused[] = [];
    const sums = { sent: 0, total: 0, stored: 0, duplicates: 0, ignored: 0 };
    for (const item of this.items) {
      counts[item.state] += 1;
      sums.sent += item.sent;
      sums.total += item.file.size;
      for (const study of item.result?.studies ?? []) studies.add(study);
      const said = item.result?.counts ?? {};
      sums.stored += (said.stored ?? 0) + (said.replaced ?? 0) + (said["set aside"] ?? 0);
      sums.duplicates += said.duplicate ?? 0;
      sums.ignored += said.ignored ?? 0;
      refused.push(...refusals(item));
    }
    const speed = this.speed(sums.sent, counts.sending > 0);
    return { items: this.items, counts, ...sums, refused, studies: [...studies], speed, paused: this.paused, interrupted: this.interrupted };
  }

  private speed(sent: number, isSending: boolean): number {
    const at = performance.now() / 1000;
    if (!isSending) this.samples = [];
    this.samples = [...this.samples.filter((one) => at - one.at < SPEED_SECONDS), { at, sent }];
    const first = this.samples[0];
    return first && at - first.at > 1 ? Math.max(0, (sent - first.sent) / (at - first.at)) : 0;
  }
}

function refusals(item: Item): Refused[] {
  if (item.state === "failed") return [{ key: item.key, name: item.path, reason: item.note }];
  const rows = item.result?.instances?.filter((row: Row) => row.status === "refused") ?? [];
  const isOne = item.result?.instances?.length === 1;
  return rows.map((row, number) => ({
    key: `${item.key}|${number}`,
    name: isOne ? item.path : `${item.path} › ${row.name}`,
    reason: row.reason ?? "",
  }));
}
