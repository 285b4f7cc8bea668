/* An extension of OHIF, loaded when it starts: what it needs to know of earlier studies.

   1. Two studies side by side, the first of the address on the left: `&hangingProtocolId=pacs-compare` asks for it. The
      left side shows what OHIF would show of that study, but no scout before a stack. The right side shows the series of
      the other study that is most like it.
   2. The studies of a patient, which OHIF asks for by Patient ID alone: an ID is unique only together with its issuer.

   It touches OHIF only through the arguments of `preRegistration` and imports nothing of it. */

const MANY = 10; /* Images; a scout has fewer. */
const MOST_STUDIES = 101; /* Of a patient, the newest; as many as OHIF asks for. */

const direction = displaySet => {
  const orientation = displaySet.instances?.[0]?.ImageOrientationPatient;
  if (orientation?.length !== 6) return undefined;
  const [a, b, c, d, e, f] = orientation.map(Number);
  const normal = [b * f - c * e, c * d - a * f, a * e - b * d].map(Math.abs);
  return normal.indexOf(Math.max(...normal));
};
const words = text => (text ?? '').toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean).sort().join(' ');
const hasMany = displaySet => displaySet.numImageFrames > MANY;

/* What two series may have in common. */
const traits = {
  modality: displaySet => displaySet.Modality,
  plane: direction,
  description: displaySet => words(displaySet.SeriesDescription) || undefined,
  view: ({ instances }) => {
    const { ViewPosition, ImageLaterality, Laterality } = instances?.[0] ?? {};
    return ViewPosition && `${ImageLaterality ?? Laterality ?? ''} ${ViewPosition}`;
  },
  amount: hasMany,
};

const ofStudy = value => [
  { attribute: 'studyInstanceUIDsIndex', from: 'options', required: true, constraint: { equals: { value } } },
];
const pictures = { attribute: 'numImageFrames', weight: 100, constraint: { greaterThan: { value: 0 } } };
const named = { attribute: 'isDisplaySetFromUrl', weight: 1000, constraint: { equals: true } };
const stack = { attribute: 'numImageFrames', weight: 5, constraint: { greaterThan: { value: MANY } } };
const same = (trait, weight) => ({ attribute: 'pacsSame', trait, weight, constraint: { equals: { value: true } } });

const side = id => ({
  viewportOptions: { viewportType: 'stack', toolGroupId: 'default', allowUnmatchedView: true },
  displaySets: [{ id }],
});

const protocol = {
  id: 'pacs-compare',
  name: 'Compare',
  description: 'A study on the left, an earlier one on the right',
  numberOfPriorsReferenced: 1,
  protocolMatchingRules: [],
  toolGroupIds: ['default'],
  /* The order matters: the second is chosen by what the first has found. */
  displaySetSelectors: {
    current: { studyMatchingRules: ofStudy(0), seriesMatchingRules: [pictures, named, stack] },
    prior: {
      studyMatchingRules: ofStudy(1),
      seriesMatchingRules: [
        pictures,
        named,
        same('modality', 40),
        same('plane', 20),
        same('view', 15),
        same('description', 10),
        same('amount', 5),
      ],
    },
  },
  defaultViewport: side('current'),
  stages: [
    {
      id: '1x2',
      name: '1x2',
      stageActivation: { enabled: { minViewportsMatched: 1 } },
      viewportStructure: { layoutType: 'grid', properties: { rows: 1, columns: 2 } },
      viewports: [side('current'), side('prior')],
    },
  ],
};

const first = (dataSet, tag) => dataSet[tag]?.Value?.[0] ?? '';

async function ask(keys) {
  const address = `/dicomweb/studies?${new URLSearchParams(keys)}`;
  const answer = await fetch(address, { headers: { Accept: 'application/dicom+json' } });
  if (!answer.ok) throw new Error(`The studies of the patient cannot be listed (${answer.status})`);
  return answer.status === 204 ? [] : answer.json();
}

/* Study Instance UIDs that the address names. */
const opened = () =>
  [...new URLSearchParams(location.search)]
    .filter(([name]) => name.toLowerCase() === 'studyinstanceuids')
    .flatMap(([, value]) => value.split(','));

/* The studies of a patient whose study is open: same ID, same issuer. */
async function studiesOf(patientId) {
  const isMine = dataSet => first(dataSet, '00100020') === patientId;
  const open = await ask({ StudyInstanceUID: opened().join(), includefield: '00100021' });
  const issuers = new Set(open.filter(isMine).map(dataSet => first(dataSet, '00100021')));
  const lists = [...issuers].map(issuer =>
    ask({
      PatientID: patientId,
      ...(issuer ? { IssuerOfPatientID: issuer } : { IssuerOfPatientID: '""', emptyvaluematching: 'true' }),
      includefield: '00081030,00080060,00080090,00100030',
      limit: MOST_STUDIES,
    }),
  );
  /* An ID that holds a wild card finds those of others too. */
  return (await Promise.all(lists)).flat().filter(isMine);
}

function knowIssuers(dataSource) {
  const { studies } = dataSource.query;
  const search = studies.search.bind(studies);
  studies.search = async params =>
    params?.patientId && params.disableWildcard
      ? studies.processResults(await studiesOf(params.patientId))
      : search(params);
}

/* Data sources are made when the viewer begins, so ours is amended when somebody first asks for it. */
function amend(extensionManager) {
  const sourcesOf = extensionManager.getActiveDataSource;
  const amended = new WeakSet();
  extensionManager.getActiveDataSource = (...args) => {
    const sources = sourcesOf(...args);
    for (const source of sources ?? []) {
      if (!amended.has(source) && source.query?.studies?.processResults) knowIssuers(source);
      amended.add(source);
    }
    return sources;
  };
}

export default {
  id: 'pacs-priors',
  preRegistration({ servicesManager, extensionManager }) {
    const { displaySetService, hangingProtocolService } = servicesManager.services;
    hangingProtocolService.addCustomAttribute('pacsSame', 'A trait that a series has in common', function (series, options) {
      const found = options?.displaySetMatchDetails?.get('current')?.displaySetInstanceUID;
      const other = found && displaySetService.getDisplaySetByUID(found);
      const trait = traits[this.trait];
      const value = trait(series);
      return Boolean(other) && value !== undefined && value === trait(other);
    });
    amend(extensionManager);
  },
  getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
};
