// What the pages ask of the archive about one study, and addresses of pictures and of the viewer.

import type { components } from "./api";
import { type DataSet, text } from "./dicom";

export const ROOT = "/dicomweb";

export interface Study {
  uid: string;
  ds: DataSet;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Asks the server; what goes wrong is said in words that can be shown. */
export async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  const headers = { Accept: "application/dicom+json, application/json" };
  const answer = await fetch(path, { headers, signal }).catch((error: unknown) => {
    if (error instanceof TypeError) throw new Refused(0, "The server cannot be reached.");
    throw error;
  });
  if (answer.ok) return answer;
  const body = (await answer.json().catch(() => null)) as Partial<components["schemas"]["Error"]> | null;
  throw new Refused(answer.status, body?.error?.message ?? answer.statusText);
}

async function dataSets(path: string, signal?: AbortSignal): Promise<DataSet[]> {
  const answer = await ask(path, signal);
  return answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
}

export const studiesByUid = async (uids: readonly string[], signal?: AbortSignal): Promise<Study[]> => {
  const found = await dataSets(`${ROOT}/studies?StudyInstanceUID=${uids.join(",")}&includefield=StudyDescription`, signal);
  return found.map((ds) => ({ uid: text(ds, "0020000D"), ds }));
};

export const seriesOf = (study: string, signal?: AbortSignal): Promise<DataSet[]> =>
  dataSets(`${ROOT}/studies/${study}/series?includefield=SeriesDescription,BodyPartExamined,SeriesDate`, signal);

/** The patient's earlier studies, those first that matter most; without `everything` what matters little is counted alone. */
export const priorsOf = async (study: string, everything: boolean, signal?: AbortSignal): Promise<components["schemas"]["Priors"]> => {
  const answer = await ask(`/api/priors?study=${study}&all=${everything}`, signal);
  return (await answer.json()) as components["schemas"]["Priors"];
};

export const instancesOf = (study: string, series: string, signal?: AbortSignal): Promise<DataSet[]> =>
  dataSets(`${ROOT}/studies/${study}/series/${series}/instances?limit=5000`, signal);

export const metadataOf = async (study: string, series: string, instance: string): Promise<DataSet> => {
  const [found] = await dataSets(`${ROOT}/studies/${study}/series/${series}/instances/${instance}/metadata`);
  return found ?? {};
};

export const thumbnail = (study: string, series?: string): string =>
  `${ROOT}/studies/${study}${series ? `/series/${series}` : ""}/thumbnail?viewport=192,192`;

export const zip = (study: string): string => `${ROOT}/studies/${study}?accept=application/zip`;

/** Where the viewer shows these studies; the first is the one that is read, two are shown side by side. */
export const viewer = (studies: string[]): string =>
  `/viewer/viewer?StudyInstanceUIDs=${studies.join(",")}${studies.length === 2 ? "&hangingProtocolId=pacs-compare" : ""}`;

export type Server = components["schemas"]["Server"];

export const server = async (): Promise<Server> => (await ask("/server.json")).json() as Promise<Server>;
