"""What the commands of a recipe cost on this machine: hours, disk and memory, from rates.tsv and the sizes of the corpus.

`Estimator.cost` knows every step of steps/hybrid.sh and of the recipes' first stages. It reads sizes (hours of speech, Gaussians,
network configs) and starts no library, so that a plan takes a moment. Estimates are good to a factor of two or so: they are there
to tell minutes from days and a laptop's disk from a server's. Standard library only.
"""

import json
import math
import os
from dataclasses import dataclass

FRAMES = 360_000  # an hour
DIM, WINDOW = 31, 41  # features of a frame, frames of a window
MONO, TRIPHONES = (40, 21), (35, 3)  # iterations and realignments, the steps' defaults
RATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rates.tsv")


@dataclass
class Cost:
    """seconds: on one core, split over `jobs` of them; fixed: seconds that no second job makes shorter. gb, memory: of disk, of a process."""

    seconds: float = 0.0
    fixed: float = 0.0
    jobs: int = 1
    gb: float = 0.0
    memory: float = 0.0
    cuda: bool = False

    def hours(self, cores):
        return (self.fixed + self.seconds / max(min(self.jobs, cores), 1)) / 3600


def read_rates(path=RATES):
    """{name: [(at, value)]} in rising order; at is 0 where the rate depends on nothing."""
    rates = {}
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, at, value, unit, source = line.rstrip("\n").split("\t")
                rates.setdefault(name, []).append((0.0 if at == "-" else float(at), float(value)))
    return {name: sorted(rows) for name, rows in rates.items()}


def read_config(path):
    """The `name: value` lines of a config whose values are numbers, strings, flags or lists of them."""
    config = {}
    with open(path) as file:
        for line in file:
            name, colon, value = line.split("#")[0].partition(":")
            if colon:
                try:
                    config[name.strip()] = json.loads(value)
                except ValueError:
                    config[name.strip()] = value.strip()
    return config


WINDOWED = ("blstm", "dnn", "vision", "sainath")  # networks whose size is known here


def network_size(config, classes):
    """(multiply-adds a window, parameters) of a network with `classes` outputs; pytorch_nnet/models has the layers."""
    hidden = config["hidden"]
    if config["arch"] == "blstm":
        operations, parameters, inputs = 0, 0, DIM
        for index, units in enumerate(hidden):
            steps = WINDOW // 2 + 1 if index == len(hidden) - 1 else WINDOW
            operations += 2 * steps * 4 * units * (inputs + units)
            parameters += 2 * (4 * units * (inputs + units + 1) + 3 * units)
            inputs = 2 * units
        return operations + inputs * classes, parameters + (inputs + 1) * classes
    if config["arch"] == "dnn":
        operations, parameters, inputs = 0, 0, (2 * config["splice"] + 1) * DIM
    elif config["arch"] == "vision":
        operations, parameters, time, mel, inputs = 0, 0, WINDOW, DIM, 1
        for block, (count, channels) in enumerate(zip((2, 3, 3), config["channels"])):
            for _ in range(count):
                if block == 0:
                    time, mel = time - 2, mel - 2
                operations += time * mel * inputs * channels * 9
                parameters += (9 * inputs + 1) * channels
                inputs = channels
            time, mel = time // 2, mel // 2
        inputs *= time * mel
    elif config["arch"] == "sainath":
        first, second = config["channels"]
        mel = (DIM - 6) // 3 - 6
        operations = (WINDOW - 6) * (DIM - 6) * 49 * first + (WINDOW - 12) * mel * 49 * first * second
        parameters, inputs = 50 * first + (49 * first + 1) * second, second * (WINDOW - 12) * mel
    else:
        raise ValueError(f"unknown architecture {config['arch']}")
    for outputs in (*hidden, classes):
        operations, parameters, inputs = operations + inputs * outputs, parameters + (inputs + 1) * outputs, outputs
    return operations, parameters


def speech_hours(data):
    """Hours of speech of a data directory, or None where it does not say."""
    for name, seconds in (("segments", lambda f: float(f[3]) - float(f[2])), ("utt2num_frames", lambda f: float(f[1]) / 100)):
        path = os.path.join(data, name)
        if os.path.exists(path):
            with open(path) as file:
                return sum(seconds(line.split()) for line in file) / 3600
    return None


class Estimator:
    """Args: corpus: as in the names of rates.tsv, for sets not prepared yet. classes: outputs of the networks.

    known: False for a corpus that neither rates.tsv nor a prepared training set tells the size of; nothing can be estimated then.
    """

    def __init__(self, corpus, preset, classes):
        self.rates, self.preset, self.classes = read_rates(), preset, classes
        prefix = f"hours.{corpus}."
        self.sets = {name[len(prefix):]: rows[0][1] for name, rows in self.rates.items() if name.startswith(prefix)}
        for name in self.sets or ("train", "dev", "test"):
            found = speech_hours(f"data/{name}")
            if found is not None:
                self.sets[name] = found
        self.known = "train" in self.sets and "dev" in self.sets
        self.leaves = {}  # of GMMs by folder, as planned
        self.ensembles = {}  # their members by name
        self.copies = 1.0  # of the training set's hours at all speeds that the networks see

    def rate(self, name, at=0.0):
        rows = self.rates[name]
        if at <= rows[0][0] or len(rows) == 1 and not rows[0][0]:
            return rows[0][1]
        for (low, below), (high, above) in zip(rows, rows[1:]):
            if at <= high:
                return math.exp(math.log(below) + math.log(at / low) / math.log(high / low) * math.log(above / below))
        return rows[-1][1] * at / rows[-1][0]

    def hours(self, words):
        """Hours of the set that the first argument with a set's name in it speaks of."""
        for word in words:
            parts = word.replace("/", "_").split("_")
            if parts[:2] == ["data", "rt03"]:
                return speech_hours("data/rt03") or self.rate("hours.rt03")
            for name in self.sets:
                if word.startswith(("data/", "exp/")) and name in parts:
                    perturbed = name == "train" and (parts[0] == "exp" or "sp" in parts)
                    return self.sets[name] * (self.copies if perturbed else 1)
        return self.sets["train"]

    def network(self, name, cuda):
        """Seconds a frame of a network. On a GPU a third of a training window's, as only the forward pass is left."""
        config = read_config(self.config(name))
        operations, _ = network_size(config, self.classes)
        if cuda:
            return self.rate(f"seconds.train.cuda.{config['arch']}", operations) / 3
        return self.rate(f"seconds.forward.{config['arch']}", operations)

    def members(self, name):
        """The networks of an ensemble, as planned or as made; of any other system itself."""
        if name not in self.ensembles and os.path.exists(f"exp/{name}/ensemble.yaml"):
            with open(f"exp/{name}/ensemble.yaml") as file:
                listed = file.read().partition("weights:")[0]
            self.ensembles[name] = [os.path.basename(line[2:]) for line in listed.splitlines() if line.startswith("- ")]
        return self.ensembles.get(name, [name])

    def forward(self, folders, frames, options):
        """The Cost of evaluating all these systems on so many frames, what they share computed once; a GMM has no network.

        On a GPU the time is fixed: jobs beside one another share it.
        """
        cuda = options.get("device") == "cuda"
        names = [os.path.basename(folder) for folder in folders]
        members = sorted({member for name in names for member in self.members(name) if os.path.exists(self.config(member))})
        if any(read_config(self.config(member))["arch"] not in WINDOWED for member in members):
            return None
        seconds = frames * sum(self.network(member, cuda) for member in members)
        start = self.rate("seconds.start")
        return Cost(0.0, start + seconds, cuda=bool(members)) if cuda else Cost(seconds, start)

    def config(self, name):
        student = name == "self" or name.startswith("student")
        return f"conf/{self.preset}/{'cnn' if student else name}.yaml"

    def cost(self, words, outs):
        """The Cost of one command of a recipe, without its launcher; None for one that is not known here."""
        step, options, jobs = os.path.basename(words[0]), {}, 1
        rest = list(words[1:])
        while rest and rest[0].startswith("--") and len(rest) > 1:
            options[rest[0][2:]], rest = rest[1], rest[2:]
        jobs = int(options.get("nj", 1))
        for kind in (self.preparation, self.hmm, self.networks, self.decoding):
            found = kind(step, options, rest, outs, self.hours(rest))
            if found is not None:
                found.jobs, found.memory = max(jobs, found.jobs), max(found.memory, self.rate("memory.process"))
                return found
        return None

    def preparation(self, step, options, rest, outs, hours):
        r, everything = self.rate, sum(self.sets.values())
        million = self.sets["train"] * r("words")
        if step == "make_mini_corpus":
            return Cost(r("seconds.make_mini_corpus") * everything, gb=r("gb.make_mini_corpus") * everything)
        if step in ("prepare_switchboard", "prepare_an4"):
            return Cost(r("seconds.prepare", everything), memory=r("memory.prepare", everything))
        if step == "prepare_rt03":
            return Cost(r("seconds.prepare", r("hours.rt03")))
        if step == "prepare_fisher":
            return Cost(r("seconds.prepare_fisher") * r("words.fisher"))
        if step in ("prepare_lang", "prepare_lm"):
            return Cost(r("seconds.lang"))
        if step == "train_lm":
            order, million = int(options["order"]), r("words.fisher") if "fisher" in rest[0] else million
            return Cost(r("seconds.lang") + r("seconds.train_lm", order) * million, gb=r("gb.lm", order) * million,
                        memory=r("memory.lm") * million)
        if step == "interpolate_lm":
            million += r("words.fisher")
            return Cost(r("seconds.interpolate_lm") * million, gb=r("gb.lm", 4) * million, memory=r("memory.interpolate") * million)
        if step == "format_lm":
            return Cost(r("seconds.lang") + r("seconds.format_lm") * million, gb=r("gb.lm", 3) * million, memory=r("memory.lm") * million)
        if step == "perturb_data_dir_speed":
            self.copies = sum(1 / float(factor) for factor in rest[0].split(","))
        if step in ("copy_data_dir", "perturb_data_dir_speed", "compare_alignments", "compute_cmvn_stats"):
            return Cost(r("seconds.cmvn") * hours, r("seconds.small"))
        if step in ("make_mfcc", "make_fbank"):
            return Cost(r(f"seconds.{step}") * hours, r("seconds.start_features"), gb=r(f"gb.{step[5:]}") * hours)
        return None

    def hmm(self, step, options, rest, outs, hours):
        r, frames = self.rate, hours * FRAMES
        trained = {"train_mono": MONO, "train_deltas": TRIPHONES, "train_lda_mllt": TRIPHONES, "train_sat": TRIPHONES}.get(step)
        if trained:
            iterations = int(options.get("num-iters", trained[0]))
            realigned = len(options["realign-iters"].split(",")) if "realign-iters" in options else trained[1]
            size = (100, int(options.get("totgauss", 1000))) if step == "train_mono" else (int(rest[0]), int(rest[1]))
            self.leaves[outs[0]] = size[0]
            seconds = ((realigned + 1) * self.rate("seconds.align", size[0]) + iterations * r("seconds.e_step", size[1] / size[0])) * frames
            seconds += {"train_lda_mllt": r("seconds.lda_mllt"), "train_sat": 2 * r("seconds.fmllr")}.get(step, 0) * hours
            return Cost(seconds, r("seconds.start") + iterations * r("seconds.iteration"), memory=r("memory.tree"),
                        gb=size[1] * r("gb.gaussian") + hours * r("gb.alignment"))
        if step in ("align_si", "align_fmllr"):
            leaves = self.leaves.get(rest[-2], self.classes)
            once, fmllr = r("seconds.align", leaves) * frames, r("seconds.fmllr") * hours
            return Cost(once if step == "align_si" else 2 * once + fmllr, r("seconds.start"), gb=hours * r("gb.alignment"))
        return None

    def networks(self, step, options, rest, outs, hours):
        r, frames = self.rate, hours * FRAMES
        if step == "train_nnet":
            config = read_config(options["config"])
            if config["arch"] not in WINDOWED:
                return None
            operations, parameters = network_size(config, self.classes)
            name = os.path.splitext(os.path.basename(options["config"]))[0]
            epochs = config.get("max_epochs") or r(f"epochs.{name}")
            cuda = config.get("device") == "cuda"
            training = r(f"seconds.train.{'cuda' if cuda else 'cpu'}.{config['arch']}", operations)
            validated = config.get("valid_frames") or self.sets["dev"] * FRAMES
            seconds = epochs * (config["epoch_batches"] * config["batch"] * training + validated * self.network(name, cuda))
            return Cost(seconds, r("seconds.start"), cuda=cuda, gb=parameters * r("gb.parameter"),
                        memory=r("memory.train") + parameters * r("memory.parameter"))
        if step == "make_frame_store":
            return Cost(r("seconds.make_frame_store") * hours, r("seconds.start"), gb=r("gb.frame_store") * hours)
        if step == "align_nnet":
            cost = self.forward([rest[2]], frames, options)
            if cost is None:
                return None
            cost.seconds, cost.gb = cost.seconds + r("seconds.align_nnet") * frames, r("gb.alignment") * hours
            return cost
        if step == "make_ensemble":
            self.ensembles[os.path.basename(rest[0])] = [os.path.basename(member) for member in rest[1:]]
            return Cost(r("seconds.start"))
        if step == "eval_nnet":
            return self.forward(rest[1:], frames, options)
        if step == "time_nnets":
            each = [self.forward([folder], r("seconds.time_nnets"), options) for folder in rest[2:]]
            return Cost(sum(cost.seconds for cost in each if cost), r("seconds.start"))
        if step == "phone_confusions":
            return self.forward(rest[4:], frames, options)
        if step == "dump_posteriors":
            cost = self.forward([rest[0]], frames, options)
            if cost is None:
                return None
            cost.gb = r("gb.soft") * hours
            return cost
        return None

    def decoding(self, step, options, rest, outs, hours):
        r, million = self.rate, self.sets["train"] * self.rate("words")
        if step == "mkgraph":
            return Cost(r("seconds.mkgraph", million), gb=r("gb.graph", million), memory=r("memory.graph", million))
        if step in ("decode", "decode_fmllr"):
            one = (r("seconds.search", float(options["max-active"])) + r("seconds.score")) * hours
            cost = self.forward([os.path.dirname(out) for out in outs], hours * FRAMES, options)
            if cost is None:
                return None
            cost.seconds += one * len(outs) * (r("seconds.decode_fmllr") if step == "decode_fmllr" else 1)
            cost.gb, cost.memory, cost.cuda = r("gb.decode") * hours * len(outs), r("memory.graph", million), False
            return cost
        if step == "lmrescore":
            read = million + (r("words.fisher") + million if "mixed" in rest[1] else million)  # by the old model and the new one
            return Cost((r("seconds.rescore") + r("seconds.score")) * hours * len(outs), r("seconds.start") + r("seconds.read_arpa") * read,
                        gb=r("gb.rescored") * hours * len(outs), memory=r("memory.read_arpa") * read)
        if step == "score.sh":
            return Cost(r("seconds.score_stm"))
        if step == "compare_systems":
            return Cost(r("seconds.compare") * (len(rest) - 2), r("seconds.start"))
        if step == "make_tables":
            return Cost(r("seconds.make_tables"))
        if step == "make_report":
            return Cost(r("seconds.make_report") * hours, r("seconds.start"))
        return None
