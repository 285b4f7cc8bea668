// What is looked for and how it is shown, kept in the address: reload, back and a bookmark bring it back.
//
// Behind `#`, because names of patients must not stand in addresses that are sent to servers and proxies.

import { useCallback, useEffect, useRef, useState } from "react";

import { type Filters, NO_FILTERS, type Sorting } from "./search";

export interface View {
  filters: Filters;
  sorting: Sorting;
  /** From 0. */
  page: number;
  size: number;
  study: string;
}

export const SIZES = [25, 50, 100, 250];
const START: View = { filters: NO_FILTERS, sorting: { keyword: "StudyDate", descending: true }, page: 0, size: 50, study: "" };

const TEXTS = ["patient", "description", "accession", "referring", "from", "until", "status"] as const;
const LISTS = ["modalities", "parts"] as const;

const written = ({ keyword, descending }: Sorting): string => `${descending ? "-" : ""}${keyword}`;

function read(): View {
  const said = new URLSearchParams(location.hash.slice(1));
  const filters: Filters = { ...NO_FILTERS };
  for (const key of TEXTS) filters[key] = said.get(key) ?? "";
  for (const key of LISTS) filters[key] = said.get(key)?.split(",").filter(Boolean) ?? [];
  const sort = said.get("sort") ?? written(START.sorting);
  const page = Number(said.get("page") ?? 1) - 1;
  const size = Number(said.get("size"));
  return {
    filters,
    sorting: { keyword: sort.replace(/^-/, ""), descending: sort.startsWith("-") },
    page: Number.isInteger(page) && page > 0 ? page : 0,
    size: SIZES.includes(size) ? size : START.size,
    study: said.get("study") ?? "",
  };
}

function address(view: View): string {
  const said = new URLSearchParams();
  const put = (key: string, value: string, usual: string) => value !== usual && said.set(key, value);
  for (const key of TEXTS) put(key, view.filters[key], "");
  for (const key of LISTS) put(key, view.filters[key].join(","), "");
  put("sort", written(view.sorting), written(START.sorting));
  put("page", String(view.page + 1), "1");
  put("size", String(view.size), String(START.size));
  put("study", view.study, "");
  return said.size ? `#${said}` : location.pathname;
}

export type Change = (change: Partial<View>, what: string) => void;

/** The view, and how it is changed: changes of the same thing in a row are one step back, a chosen study is none. */
export function useView(): [View, Change] {
  const [view, setView] = useState(read);
  const last = useRef("");
  useEffect(() => {
    const back = () => {
      last.current = "";
      setView(read());
    };
    addEventListener("popstate", back);
    addEventListener("hashchange", back);
    return () => {
      removeEventListener("popstate", back);
      removeEventListener("hashchange", back);
    };
  }, []);
  const change = useCallback<Change>((changed, what) => {
    const next = { ...read(), ...changed };
    const isStep = what !== "study" && what !== last.current;
    if (what !== "study") last.current = what;
    history[isStep ? "pushState" : "replaceState"](null, "", address(next));
    setView(next);
  }, []);
  return [view, change];
}
