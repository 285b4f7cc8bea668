// What the pages ask of the archive: QIDO-RS searches, addresses of pictures and of the viewer.

import type { components } from "./api";
import { type DataSet, text } from "./dicom";

const ROOT = "/dicomweb";

export interface Study {
  uid: string;
  ds: DataSet;
}

export interface Page {
  studies: Study[];
  total: number;
}

export interface Filters {
  patient: string;
  accession: string;
  description: string;
  referring: string;
  modalities: string[];
  from: string;
  until: string;
}

export const NO_FILTERS: Filters = {
  patient: "",
  accession: "",
  description: "",
  referring: "",
  modalities: [],
  from: "",
  until: "",
};

export interface Sorting {
  keyword: string;
  descending: boolean;
}

const STUDY_FIELDS = [
  "StudyDescription",
  "PatientBirthDate",
  "PatientSex",
  "NumberOfStudyRelatedSeries",
  "NumberOfStudyRelatedInstances",
];

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(path, { headers: { Accept: "application/dicom+json, application/json" }, signal });
  if (answer.ok) return answer;
  const body = (await answer.json().catch(() => null)) as Partial<components["schemas"]["Error"]> | null;
  throw new Refused(answer.status, body?.error?.message ?? answer.statusText);
}

async function dataSets(path: string, signal?: AbortSignal): Promise<DataSet[]> {
  const answer = await ask(path, signal);
  return answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
}

const inside = (value: string): string => (/[*?]/.test(value) ? value : `*${value}*`);
const isIdentifier = (value: string): boolean => /\d/.test(value);

function matching(filters: Filters): URLSearchParams {
  const asked = new URLSearchParams();
  const put = (keyword: string, value: string) => value.trim() && asked.set(keyword, value.trim());
  if (filters.patient.trim()) {
    // What holds a digit is an identifier: one box serves both, as people expect it.
    put(isIdentifier(filters.patient) ? "PatientID" : "PatientName", inside(filters.patient.trim()));
  }
  put("AccessionNumber", filters.accession && inside(filters.accession));
  put("StudyDescription", filters.description && inside(filters.description));
  put("ReferringPhysicianName", filters.referring && inside(filters.referring));
  put("ModalitiesInStudy", filters.modalities.join(","));
  put("StudyDate", filters.from || filters.until ? `${filters.from}-${filters.until}` : "");
  return asked;
}

export async function searchStudies(
  filters: Filters,
  sorting: Sorting,
  page: { size: number; number: number },
  signal?: AbortSignal,
): Promise<Page> {
  const asked = matching(filters);
  asked.set("limit", String(page.size));
  asked.set("offset", String(page.size * page.number));
  asked.set("includefield", STUDY_FIELDS.join(","));
  asked.set("orderby", `${sorting.descending ? "-" : ""}${sorting.keyword}`);
  asked.set("fuzzymatching", "true");
  asked.set("count", "true");
  const answer = await ask(`${ROOT}/studies?${asked}`, signal);
  const found = answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
  const total = Number(answer.headers.get("x-total-count") ?? found.length);
  return { total, studies: found.map((ds) => ({ uid: text(ds, "0020000D"), ds })) };
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
