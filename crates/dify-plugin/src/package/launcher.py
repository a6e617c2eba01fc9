"""Replaces this process with the native executable that the installer placed next to the Python interpreter."""
import os
import sys

NAME = "native-model-runtime"


def fail(text, code):
    sys.stderr.write("%s: %s\n" % (NAME, text))
    sys.stderr.flush()
    os._exit(code)


def find():
    path = os.path.join(os.path.dirname(sys.executable), NAME)
    if os.path.exists(path):
        return path
    import shutil
    import sysconfig

    for directory in (sysconfig.get_path("scripts"), os.environ.get("PATH", "")):
        found = shutil.which(NAME, mode=os.F_OK, path=directory)
        if found:
            return found
    machine = os.uname()
    fail(
        "no executable for %s on %s is installed; this package contains only those in wheels/. "
        "Install a package that supports this CPU." % (machine.sysname, machine.machine),
        127,
    )


def from_memory(path):
    """Runs a copy of the executable from memory, for directories that are mounted noexec."""
    with open(path, "rb") as source:
        memory = os.memfd_create(NAME)
        size = os.fstat(source.fileno()).st_size
        sent = 0
        while sent < size:
            sent += os.sendfile(memory, source.fileno(), sent, size - sent)
    os.execve(memory, [path] + sys.argv[1:], os.environ)


def main():
    path = find()
    # Return unused memory to the system immediately, because a plugin is idle most of the time.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
    try:
        try:
            os.execv(path, [path] + sys.argv[1:])
        except PermissionError:
            from_memory(path)
    except OSError as error:
        advice = {
            8: "it was built for a CPU other than %s; install a package that supports this CPU" % os.uname().machine,
            2: "its dynamic loader is missing; build a static executable (musl)",
            13: "permission denied; mount the plugin directory without noexec, or allow memfd execution (vm.memfd_noexec)",
            1: "operation not permitted; allow it in the container's security profile",
        }.get(error.errno, "free memory, or raise the container's limits")
        fail("cannot start %s (%s): %s" % (path, error.strerror, advice), 126)


main()
