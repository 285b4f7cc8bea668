// Asked once for all files that are no DICOM: whom they show, and which study they belong to.

import { Button, Group, Modal, Radio, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import dayjs from "dayjs";
import { type FormEvent, useState } from "react";

import type { Study } from "../archive";
import { day, name, plural, text } from "../dicom";
import type { Question } from "./intake";
import { newUid, personName } from "./words";

interface Props {
  question: Question;
  study?: Study;
  onAnswer: (fields: Record<string, string> | null) => void;
}

const SEXES = [
  { value: "F", label: "Female" },
  { value: "M", label: "Male" },
  { value: "O", label: "Other" },
];
const NOTHING = { name: "", id: "", born: "", sex: "", description: "", date: "", series: "" };
const da = (date: string): string => date.replaceAll("-", "");

/** The keys are the keywords that the server's form has. */
function keywords(said: typeof NOTHING, study?: Study): Record<string, string> {
  const fields: Record<string, string> = study
    ? { StudyInstanceUID: study.uid, SeriesDescription: said.series }
    : {
        StudyInstanceUID: newUid(),
        PatientName: personName(said.name),
        PatientID: said.id.trim(),
        PatientBirthDate: da(said.born),
        PatientSex: said.sex,
        StudyDescription: said.description.trim(),
        StudyDate: da(said.date),
        SeriesDescription: said.series,
      };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
}

const about = ({ ds }: Study): string =>
  [name(ds, "00100010") || "No name", text(ds, "00100020"), text(ds, "00081030"), day(text(ds, "00080020"))].filter(Boolean).join(" · ");

export function DetailsForm({ question, study, onAnswer }: Props) {
  const [isNew, setNew] = useState(!study);
  const [said, say] = useState({ ...NOTHING, date: dayjs().format("YYYY-MM-DD") });
  const names = [...question.strangers].map((one) => one.file.name);
  const field = (key: keyof typeof NOTHING) => ({
    value: said[key],
    onChange: (event: { currentTarget: HTMLInputElement }) => say({ ...said, [key]: event.currentTarget.value }),
    maxLength: 64,
    autoComplete: "off",
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onAnswer(keywords(said, isNew ? undefined : study));
  };
  return (
    <Modal opened onClose={() => onAnswer(null)} title={`Whose ${names.length === 1 ? "file is this" : "files are these"}?`} size="lg">
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Text size="sm" c="dimmed" lineClamp={2}>
            {plural(names.length, "file")} that {names.length === 1 ? "is" : "are"} not DICOM: {names.slice(0, 5).join(", ")}
            {names.length > 5 && " and more"}
          </Text>
          {study && (
            <Radio.Group value={isNew ? "new" : "selected"} onChange={(value) => setNew(value === "new")} label="Study">
              <Stack gap={6} mt={6}>
                <Radio value="selected" label={`The selected one: ${about(study)}`} />
                <Radio value="new" label="A new one" />
              </Stack>
            </Radio.Group>
          )}
          {isNew && (
            <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm" verticalSpacing="xs">
              <TextInput label="Patient name" placeholder="Family, Given" required data-autofocus {...field("name")} />
              <TextInput label="Patient ID" required {...field("id")} />
              <TextInput label="Date of birth" type="date" {...field("born")} />
              <Select label="Sex" data={SEXES} value={said.sex || null} onChange={(sex) => say({ ...said, sex: sex ?? "" })} clearable />
              <TextInput label="Study description" {...field("description")} />
              <TextInput label="Study date" type="date" {...field("date")} />
            </SimpleGrid>
          )}
          <TextInput label="What the files are" placeholder="Referral letter, photograph of the wound, …" {...field("series")} />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={() => onAnswer(null)}>
              Leave them out
            </Button>
            <Button type="submit">Upload</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
