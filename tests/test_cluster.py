"""Tasks are done here or by workers with the same results; what is wrong with a cluster is one clear line."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import worked

from casestudy import cluster
from casestudy.cluster import check_cluster, run_tasks
from casestudy.errors import ClusterError, DataError

ROOT = Path(__file__).parents[1]
# Where workers find this checkout and what its tests define, besides where this process looks.
HERE = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))


@pytest.fixture
def words(tmp_path):
    """Files 0 to 5, each with a word of its own."""
    paths = [tmp_path / f"{k}.txt" for k in range(6)]
    for k, path in enumerate(paths):
        path.write_text("abcdef"[k], encoding="utf-8")
    return paths


def test_without_a_cluster_tasks_are_done_here_and_dask_is_not_imported(tmp_path):
    code = (
        "import sys; from casestudy.cluster import run_tasks; from pathlib import Path\n"
        "assert run_tasks(abs, [-3, 2], None, Path()) == [3, 2] == run_tasks(abs, [-3, 2], 'jobs:2', Path())\n"
        "import casestudy.cli.commands, casestudy.runs.steps, casestudy.grading.grade\n"
        "sys.exit(any(name.partition('.')[0] in ('dask', 'distributed') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"needs Dask\. Get it: pip install distributed"):
        check_cluster("local:2")
    check_cluster(None)


@pytest.fixture(params=["jobs:2", "local:2"])
def way(request):
    """Workers of both kinds: processes, and Dask's."""
    if request.param.startswith("local"):
        pytest.importorskip("distributed")
    return request.param


def test_workers_give_the_same_in_the_same_order(words, way, tmp_path):
    assert run_tasks(worked.word, words, way, tmp_path) == list("abcdef")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{k}.txt" for k in range(6)]  # no mark is left
    assert run_tasks(worked.word, [], "tcp://nobody:1", tmp_path) == []  # nothing to do needs nobody


def test_workers_are_other_processes_which_have_as_many_threads_and_listen_here_only(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    before = dict(os.environ)
    ((process, threads),) = set(run_tasks(worked.process, [0], "local:8", tmp_path))
    assert dict(os.environ) == before
    assert run_tasks(worked.process, [0], "jobs:8", tmp_path)[0][1] == threads
    assert process != os.getpid() and int(threads) == len(os.sched_getaffinity(0))  # as here
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # for many small trainings side by side
    assert run_tasks(worked.process, [0], "local:1", tmp_path)[0][1] == "1"
    (addresses,) = run_tasks(worked.listening, [0], "local:1", tmp_path)
    assert len(addresses) >= 3 and set(addresses) == {"127.0.0.1"}  # scheduler, nanny, worker


def test_a_killed_workers_task_is_done_again(way, tmp_path):
    tasks = [tmp_path / "a", tmp_path / "b"]
    assert run_tasks(worked.dies_once, tasks, way, tmp_path) == ["begun", "begun"]


def test_a_task_that_kills_every_worker_ends_with_one_line(way, tmp_path):
    with pytest.raises(ClusterError, match=r"three times for one fold.*memory, and call again\.$"):
        run_tasks(worked.dies, [0], way, tmp_path, noun="fold")


def test_what_a_task_raises_is_raised_and_a_file_that_another_tidied_up_is_looked_for_again(way, tmp_path):
    assert run_tasks(worked.tidied_up, [tmp_path / "x"], way, tmp_path) == ["done by another"]
    with pytest.raises(IsADirectoryError):
        run_tasks(worked.word, [tmp_path], way, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two workers", r"takes local:N, an address.*received 'two workers'"),
        ("local:0", r"takes local:N"),
        ("http://127.0.0.1:80", r"takes local:N"),
        ("tcp://127.0.0.1:9", r"scheduler that answers; tcp://127\.0\.0\.1:9 does not \(.*refused\).*dask scheduler"),
        ("tcp://127.0.0.1:99999", r"does not"),
        ("none.yaml", r"jobqueue: one of slurm.*none\.yaml does not \(.*No such file"),
    ],
)
def test_a_wrong_cluster_is_one_line(name, said):
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(ClusterError, match=said):
        check_cluster(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobqueue: {slurm: {cores: 2, memory: 4GB}}", r"does not say which\. Add interface: NAME.*settings of slurm"),
        ("jobqueue: {lorry: {cores: 2}}", r"one of slurm.*it has lorry"),
        ("jobqueue: {slurm: 3}", r"it has slurm"),
        ("jobs: 0\njobqueue: {slurm: {interface: ib0}}", r"one of slurm"),
        ("[broken", r"one of slurm"),
    ],
)
def test_a_queue_that_cannot_be_is_one_line(text, said, tmp_path):
    pytest.importorskip("dask_jobqueue")
    path = tmp_path / "queue.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClusterError, match=said):
        check_cluster(str(path))


def test_jobs_of_a_queue_do_tasks(words, tmp_path, monkeypatch):
    """A queue that starts its jobs on this machine, which is what dask-jobqueue has to be tested with."""
    pytest.importorskip("dask_jobqueue")
    import dask_jobqueue
    from dask_jobqueue.local import LocalCluster

    asked = []
    monkeypatch.setattr(LocalCluster, "scale", lambda self, jobs: (asked.append(jobs), SCALE(self, jobs=jobs)))
    monkeypatch.setattr(dask_jobqueue, "OurCluster", LocalCluster, raising=False)
    monkeypatch.setitem(cluster.QUEUES, "local", "OurCluster")
    monkeypatch.setenv("PYTHONPATH", HERE)
    path = tmp_path / "queue.yaml"
    path.write_text("jobs: 2\njobqueue: {local: {cores: 1, memory: 1GB, interface: lo, walltime: null}}\n")
    assert run_tasks(worked.word, words, str(path), tmp_path) == list("abcdef")
    assert asked[0] == 2  # and none in the end


def SCALE(self, **how):
    from distributed import SpecCluster

    return SpecCluster.scale(self, n=how["jobs"])


@pytest.fixture
def dask(tmp_path, monkeypatch):
    """Starts a scheduler and a worker by their commands; returns the address, and a call to stop them."""
    pytest.importorskip("distributed")
    started = []

    def start(**environment):
        where, log = {**os.environ, **environment}, tmp_path / "address.json"
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
        quiet = {"env": where, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        more = ["--no-dashboard", "--scheduler-file", str(log)]
        started.append(subprocess.Popen([*command, *more], **quiet))
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(log), "--no-nanny"]
        started.append(subprocess.Popen([*worker, "--nthreads", "1", "--host", "127.0.0.1"], **quiet))
        import json
        import time

        for _ in range(600):
            if log.is_file() and log.stat().st_size:
                return json.loads(log.read_text())["address"]
            time.sleep(0.1)
        raise AssertionError("no scheduler")

    yield start
    for one in started:
        one.send_signal(signal.SIGKILL)
        one.wait()


def test_workers_at_an_address_must_be_as_the_process_that_calls_them(dask, words, tmp_path, monkeypatch):
    address = dask(PYTHONPATH=HERE)
    assert run_tasks(worked.word, words, address, tmp_path) == list("abcdef")
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "versions", lambda: {"keras": "0.1"})
        with pytest.raises(ClusterError, match=r"same versions.* has keras .*, not 0\.1\. Install"):
            run_tasks(worked.word, words, address, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "resolve", lambda self: self)
        (tmp_path / "mine" / "elsewhere").mkdir(parents=True)
        patch.chdir(tmp_path / "mine")
        with pytest.raises(ClusterError, match=r"does not see elsewhere\. Put it where"):
            run_tasks(worked.word, words, address, Path("elsewhere"))
    with pytest.raises(IsADirectoryError):
        run_tasks(worked.word, [tmp_path], address, tmp_path)


def test_workers_without_casestudy_are_one_line(dask, words, tmp_path):
    address = dask(PYTHONSAFEPATH="1")
    with pytest.raises(ClusterError, match=r"have this casestudy installed.*Install it there"):
        run_tasks(worked.word, words, address, tmp_path)


def test_an_error_of_casestudy_survives_the_way_back():
    import pickle

    again = pickle.loads(pickle.dumps(DataError("one line")))
    assert (type(again), str(again)) == (DataError, "one line")


def test_what_is_unlike_the_others_tells_nothing_of_how_long_they_take(monkeypatch, caplog, tmp_path):
    """The heads of all folds are done in a minute, and a fold in many."""
    times = iter([0.0, 600.0, 1200.0, 1800.0])
    monkeypatch.setattr(cluster.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(cluster, "_engine", lambda *_: contextlib.nullcontext(lambda do, tasks: enumerate("hfff")))
    caplog.set_level("INFO", "casestudy")
    assert run_tasks(str, [-1, 0, 1, 2], "jobs:2", tmp_path, noun="training", apart=[-1]) == list("hfff")
    left = [
        "1 of 4 trainings done",
        "2 of 4 trainings done; about 20 min left",
        "3 of 4 trainings done; about 10 min left",
        "4 of 4 trainings done",
    ]
    assert [record.message for record in caplog.records] == left
