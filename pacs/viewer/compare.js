/* An extension of OHIF, loaded when it starts: two studies side by side, the first of the address on the left.

   `&hangingProtocolId=pacs-compare` asks for it. The left side shows what OHIF would show of that study, but no scout
   before a stack. The right side shows the series of the other study that is most like it.

   It touches OHIF only through the arguments of `preRegistration` and imports nothing of it. */

const MANY = 10; /* Images; a scout has fewer. */

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

export default {
  id: 'pacs-compare',
  preRegistration({ servicesManager }) {
    const { displaySetService, hangingProtocolService } = servicesManager.services;
    hangingProtocolService.addCustomAttribute('pacsSame', 'A trait that a series has in common', function (series, options) {
      const found = options?.displaySetMatchDetails?.get('current')?.displaySetInstanceUID;
      const other = found && displaySetService.getDisplaySetByUID(found);
      const trait = traits[this.trait];
      const value = trait(series);
      return Boolean(other) && value !== undefined && value === trait(other);
    });
  },
  getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
};
