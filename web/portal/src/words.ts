// Codes of DICOM in the words of the people who read the list.

import { type DataSet, text } from "./dicom";

export type Status = "unread" | "draft" | "reported";

/** `tone` is for text alone, where there is no room for a badge. */
export const STATUSES: { value: Status; label: string; color: string; tone: string }[] = [
  { value: "unread", label: "Unread", color: "gray", tone: "dimmed" },
  { value: "draft", label: "Draft", color: "yellow", tone: "yellow.6" },
  { value: "reported", label: "Reported", color: "teal", tone: "teal.6" },
];

/** Whether a study is reported, by Interpretation Status ID (4008,0212). */
export function statusOf(ds: DataSet): (typeof STATUSES)[number] {
  const said = text(ds, "40080212");
  const value: Status = said === "APPROVED" ? "reported" : said ? "draft" : "unread";
  return STATUSES.find((status) => status.value === value) as (typeof STATUSES)[number];
}

/** Defined terms of Body Part Examined (PS3.16 annex L) that are common, and what people call them. */
const PARTS: Record<string, string> = {
  ABDOMEN: "Abdomen",
  ABDOMENPELVIS: "Abdomen and pelvis",
  ANKLE: "Ankle",
  AORTA: "Aorta",
  ARM: "Arm",
  BLADDER: "Bladder",
  BRAIN: "Brain",
  BREAST: "Breast",
  CAROTID: "Carotid",
  CHEST: "Chest",
  CHESTABDOMEN: "Chest and abdomen",
  CHESTABDPELVIS: "Chest, abdomen, pelvis",
  CLAVICLE: "Clavicle",
  COLON: "Colon",
  CSPINE: "Cervical spine",
  EAR: "Ear",
  ELBOW: "Elbow",
  EXTREMITY: "Extremity",
  EYE: "Eye",
  FEMUR: "Femur",
  FINGER: "Finger",
  FOOT: "Foot",
  FOREARM: "Forearm",
  HAND: "Hand",
  HEAD: "Head",
  HEADNECK: "Head and neck",
  HEART: "Heart",
  HIP: "Hip",
  HUMERUS: "Humerus",
  JAW: "Jaw",
  KIDNEY: "Kidney",
  KNEE: "Knee",
  LEG: "Leg",
  LIVER: "Liver",
  LSPINE: "Lumbar spine",
  NECK: "Neck",
  ORBIT: "Orbit",
  PANCREAS: "Pancreas",
  PELVIS: "Pelvis",
  PROSTATE: "Prostate",
  RIB: "Rib",
  SHOULDER: "Shoulder",
  SKULL: "Skull",
  SPINE: "Spine",
  SSPINE: "Sacral spine",
  THYROID: "Thyroid",
  TLSPINE: "Thoracolumbar spine",
  TSPINE: "Thoracic spine",
  UTERUS: "Uterus",
  WHOLEBODY: "Whole body",
  WRIST: "Wrist",
};

export const partName = (code: string): string => PARTS[code] ?? code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " ");

/** What can be chosen: the common ones, and those that are on the screen. */
export function partChoices(shown: Iterable<string>): { value: string; label: string }[] {
  const codes = new Set([...Object.keys(PARTS), ...shown]);
  return [...codes].map((value) => ({ value, label: partName(value) })).sort((a, b) => a.label.localeCompare(b.label));
}

const MODALITIES: Record<string, string> = {
  AU: "Audio",
  BI: "Biomagnetic imaging",
  CR: "Computed radiography",
  CT: "Computed tomography",
  DOC: "Document",
  DX: "Digital radiography",
  ECG: "Electrocardiogram",
  EEG: "Electroencephalogram",
  ES: "Endoscopy",
  GM: "General microscopy",
  IO: "Intra-oral radiography",
  IVOCT: "Intravascular OCT",
  IVUS: "Intravascular ultrasound",
  KO: "Key objects",
  M3D: "Model for 3D printing",
  MG: "Mammography",
  MR: "Magnetic resonance",
  NM: "Nuclear medicine",
  OP: "Ophthalmic photography",
  OPT: "Ophthalmic tomography",
  OT: "Other",
  PR: "Presentation state",
  PT: "Positron emission tomography",
  PX: "Panoramic X-ray",
  RF: "Radio fluoroscopy",
  RTDOSE: "Radiotherapy dose",
  RTIMAGE: "Radiotherapy image",
  RTPLAN: "Radiotherapy plan",
  RTSTRUCT: "Radiotherapy structures",
  SC: "Secondary capture",
  SEG: "Segmentation",
  SM: "Slide microscopy",
  SR: "Structured report",
  US: "Ultrasound",
  XA: "X-ray angiography",
  XC: "External camera photography",
};

const COMMON = ["CT", "MR", "US", "CR", "DX", "MG", "PT", "NM", "XA", "RF"];

/** The common ones first. */
export const modalityChoices = [...new Set([...COMMON, ...Object.keys(MODALITIES)])];
export const modalityName = (code: string): string => MODALITIES[code] ?? code;
