// Between people and the queue: files in, a question about those that are no DICOM, then off they go.

import { useCallback, useState, useSyncExternalStore } from "react";

import type { Found } from "./collect";
import { Queue, type Snapshot } from "./queue";

/** One for the page: what is on its way goes on whatever is shown. */
const queue = new Queue();

export interface Question {
  found: Found[];
  strangers: Set<Found>;
}

export interface Intake {
  queue: Queue;
  snapshot: Snapshot;
  /** Files that wait for the form. */
  question: Question | null;
  /** What went wrong before anything could be sent. */
  error: string;
  take: (found: Promise<Found[]>) => Promise<void>;
  answer: (fields: Record<string, string> | null) => void;
}

export function useIntake(): Intake {
  const snapshot = useSyncExternalStore(queue.subscribe, queue.read);
  const [question, ask] = useState<Question | null>(null);
  const [error, setError] = useState("");

  const take = useCallback(async (coming: Promise<Found[]>) => {
    setError("");
    try {
      await queue.open();
      const found = await coming;
      const strangers = await queue.strangers(found);
      if (strangers.size > 0) ask({ found, strangers });
      else queue.add(found);
      if (found.length === 0) setError("There are no files in what was dropped.");
    } catch {
      setError("The files cannot be read, or the server cannot be reached. Try again.");
    }
  }, []);

  const answer = (fields: Record<string, string> | null) => {
    if (!question) return;
    const { found, strangers } = question;
    // Without the form the DICOM files among them are sent all the same.
    if (fields) queue.add(found, strangers, fields);
    else queue.add(found.filter((one) => !strangers.has(one)));
    ask(null);
  };
  return { queue, snapshot, question, error, take, answer };
}
