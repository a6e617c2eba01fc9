"""Starts the plugin: replaces this process by the native executable that the installer put beside Python."""
import os
import sys

NAME = "native-model-runtime"


def give_up(text, code):
    sys.stderr.write("%s: %s\n" % (NAME, text))
    sys.stderr.flush()
    os._exit(code)


def find():
    path = os.path.join(os.path.dirname(sys.executable), NAME)
    if os.path.exists(path):
        return path
    import shutil
    import sysconfig

    for folder in (sysconfig.get_path("scripts"), os.environ.get("PATH", "")):
        found = shutil.which(NAME, mode=os.F_OK, path=folder)
        if found:
            return found
    machine = os.uname()
    give_up(
        "no executable for %s on %s was installed; this package holds the ones under wheels/. "
        "Install a package that was built for this CPU." % (machine.sysname, machine.machine),
        127,
    )


def from_memory(path):
    """For folders that are mounted noexec: runs a copy that lives in memory."""
    with open(path, "rb") as source:
        memory = os.memfd_create(NAME)
        size = os.fstat(source.fileno()).st_size
        sent = 0
        while sent < size:
            sent += os.sendfile(memory, source.fileno(), sent, size - sent)
    os.execve(memory, [path] + sys.argv[1:], os.environ)


def main():
    path = find()
    # Unused pages of the executable go back to the system at once: a plugin idles most of its life.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
    try:
        try:
            os.execv(path, [path] + sys.argv[1:])
        except PermissionError:
            from_memory(path)
    except OSError as error:
        advice = {
            8: "it was built for another CPU than %s; install the package for this one" % os.uname().machine,
            2: "the file is there but its loader is not; build it statically (musl)",
            13: "execution is refused here; mount the plugin folder without noexec or allow memory files (vm.memfd_noexec)",
            1: "execution is refused here; allow it in the container's security profile",
        }.get(error.errno, "free memory or raise the container's limits")
        give_up("%s cannot be started (%s): %s" % (path, error.strerror, advice), 126)


main()
