// What the server says about uploads, in JSON beside the tus protocol.

import type { components } from "../api";

export const ENDPOINT = "/api/uploads";

type Schemas = components["schemas"];
export type Row = Schemas["UploadedFile"];
export type Result = Schemas["UploadResult"];
export type Described = Schemas["Upload"];
export type Listing = Schemas["Uploads"];

async function json<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  if (!answer.ok) throw Object.assign(new Error(answer.statusText), { status: answer.status });
  return (await answer.json()) as T;
}

export const listing = (): Promise<Listing> => json<Listing>(ENDPOINT);

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits for the result, over restarts of the server too; `tell` is called with the reason when it has to wait. */
export async function resultOf(url: string, tell: (reason: string) => void): Promise<Result> {
  for (;;) {
    try {
      const described = await json<Described>(`${url}?wait=20`);
      if (described.result) return described.result;
      if (described.state === "arriving") throw Object.assign(new Error("Not all of the file has arrived"), { status: 409 });
      tell(described.reason ?? "");
      if (described.state === "waiting") await pause(5000);
    } catch (error) {
      const status = (error as { status?: number }).status;
      if (status !== undefined && status !== 503) throw error;
      tell("Waiting for the server");
      await pause(2000);
    }
  }
}

export const discard = (id: string): Promise<Response> =>
  fetch(`${ENDPOINT}/${id}`, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } });
