// Searches for studies: what people fill in becomes a QIDO-RS request.

import type { paths } from "./api";
import { ask, ROOT, type Study } from "./archive";
import { type DataSet, text } from "./dicom";

type Keys = NonNullable<paths["/dicomweb/studies"]["get"]["parameters"]["query"]>;

export interface Filters {
  patient: string;
  accession: string;
  description: string;
  referring: string;
  modalities: string[];
  parts: string[];
  status: string;
  from: string;
  until: string;
}

export const NO_FILTERS: Filters = {
  patient: "",
  accession: "",
  description: "",
  referring: "",
  modalities: [],
  parts: [],
  status: "",
  from: "",
  until: "",
};

export const countUsed = (filters: Filters): number =>
  Object.entries(filters).filter(([key, value]) => value.length > 0 && !(key === "until" && filters.from)).length;

export interface Sorting {
  keyword: string;
  descending: boolean;
}

export interface Page {
  studies: Study[];
  total: number;
}

const FIELDS = "StudyDescription,PatientBirthDate,PatientSex";

const inside = (value: string): string => (/[*?]/.test(value) ? value : `*${value}*`);
/** One box serves both, as people expect it. What holds a digit is rather an identifier, though names may have some. */
const guess = (patient: string): PatientKey => (/\d/.test(patient) ? "PatientID" : "PatientName");

/** Interpretation Status ID (4008,0212) as it is asked for; an unread study has none. */
const STATUS: Record<string, string> = { unread: '""', draft: "TRANSCRIBED", reported: "APPROVED" };

type PatientKey = "PatientID" | "PatientName";

function matching(filters: Filters, patientKey: PatientKey): Partial<Keys> {
  const asked: Partial<Keys> = {};
  const put = (keyword: keyof Keys, value: string) => {
    if (value.trim()) asked[keyword] = value.trim() as never;
  };
  put(patientKey, filters.patient.trim() && inside(filters.patient.trim()));
  put("AccessionNumber", filters.accession.trim() && inside(filters.accession.trim()));
  put("StudyDescription", filters.description.trim() && inside(filters.description.trim()));
  put("ReferringPhysicianName", filters.referring.trim() && inside(filters.referring.trim()));
  put("ModalitiesInStudy", filters.modalities.join(","));
  put("BodyPartExamined", filters.parts.join(","));
  put("InterpretationStatusID", STATUS[filters.status] ?? "");
  put("StudyDate", filters.from || filters.until ? `${filters.from}-${filters.until}` : "");
  return asked;
}

interface Part {
  sorting: Sorting;
  size: number;
  /** From 0. */
  page: number;
}

/** One page of the studies that match. Who is not found by the likelier key may be found by the other one. */
export async function searchStudies(filters: Filters, part: Part, signal?: AbortSignal): Promise<Page> {
  const likely = guess(filters.patient);
  const found = await search(matching(filters, likely), part, signal);
  if (found.total > 0 || !filters.patient.trim()) return found;
  return search(matching(filters, likely === "PatientID" ? "PatientName" : "PatientID"), part, signal);
}

async function search(matched: Partial<Keys>, { sorting, size, page }: Part, signal?: AbortSignal): Promise<Page> {
  const keys: Partial<Keys> = {
    ...matched,
    limit: size,
    offset: size * page,
    includefield: FIELDS,
    orderby: `${sorting.descending ? "-" : ""}${sorting.keyword}`,
    fuzzymatching: true,
    emptyvaluematching: true,
    count: true,
  };
  const asked = new URLSearchParams(Object.entries(keys).map(([key, value]) => [key, String(value)]));
  const answer = await ask(`${ROOT}/studies?${asked}`, signal);
  const found = answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
  const total = Number(answer.headers.get("x-total-count") ?? found.length);
  return { total, studies: found.map((ds) => ({ uid: text(ds, "0020000D"), ds })) };
}
