"""System call filters in classic BPF: what the zygote may do, and the little a program may do.

Two filters are stacked. The base filter is loaded once in the zygote and lists every call that anyone
inside may make; everything else fails with EPERM or, where no honest program has any business, ends the
process with SIGSYS. The program filter is loaded in every child and takes back what only the zygote needs;
it is short because loading a full list costs 0.4 ms per child.

Sources: seccomp(2); include/uapi/linux/{seccomp,filter,bpf_common}.h.
"""

import struct
from collections.abc import Iterable

from raymode.sandbox import syscalls
from raymode.sandbox.words import words

ALLOW, KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, EACCES, ENOTTY, ENOSYS = 1, 13, 25, 38
SIGKILL = 9

Instruction = bytes
Block = list[Instruction]


PLAIN = words(
    """
    read write close stat fstat lstat poll lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
    pread64 pwrite64 readv writev access pipe select sched_yield mremap msync madvise dup dup2 pause
    nanosleep getitimer alarm setitimer getpid sendto recvfrom shutdown getsockname getpeername
    getsockopt exit uname fsync fdatasync ftruncate getcwd chdir fchdir readlink umask gettimeofday
    getrlimit getrusage sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups
    getresuid getresgid getpgid getsid rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
    getpriority sched_getparam sched_getscheduler gettid time futex sched_getaffinity getdents64
    set_tid_address restart_syscall clock_gettime clock_getres clock_nanosleep exit_group epoll_wait
    epoll_ctl newfstatat readlinkat faccessat pselect6 ppoll set_robust_list get_robust_list
    epoll_pwait eventfd2 epoll_create1 dup3 pipe2 getcpu getrandom membarrier statx rseq close_range
    faccessat2
    """
)
ZYGOTE_ONLY = words("wait4 waitid kill recvmsg sendmsg seccomp pidfd_open fork")
DEADLY = words(
    """
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise mount umount2
    pivot_root chroot unshare setns open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register add_key
    request_key keyctl kexec_load kexec_file_load init_module finit_module delete_module iopl ioperm
    modify_ldt acct swapon swapoff reboot quotactl syslog personality settimeofday clock_settime
    adjtimex clock_adjtime name_to_handle_at open_by_handle_at
    """
)

# What glibc and musl pass to clone for a new thread, and glibc for fork.
THREAD_FLAGS, FORK_FLAGS = (0x3D0F00, 0x7D0F00), 0x01200011
# Access mode, O_CREAT, O_TRUNC, O_APPEND, O_TMPFILE.
_WRITING = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000
_PROT_WRITE, _PROT_EXEC, _MAP_SHARED, _MAP_ANONYMOUS = 2, 4, 1, 0x20
_RLIMIT_CPU, _HIGH_HALF = 0, 4
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX.
_TERMINAL_QUERIES = (0x5401, 0x5413, 0x541B, 0x5421, 0x5451)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GET_SEALS.
_FCNTL = (0, 1, 2, 3, 4, 1030, 1034)
_PR_SET_NAME, _ARCH_SET_FS, _AF_UNIX, _SOCK_STREAM = 15, 0x1002, 1, 1


def _ins(code: int, true: int, false: int, value: int) -> Instruction:
    return struct.pack("HBBI", code, true, false, value & 0xFFFFFFFF)


def _load(offset: int) -> Instruction:
    return _ins(0x20, 0, 0, offset)


def _load_number() -> Instruction:
    return _load(0)


def _load_argument(index: int) -> Instruction:
    return _load(16 + 8 * index)  # the low half: all arguments looked at are 32 bits wide


def _equal(value: int, true: int, false: int) -> Instruction:
    return _ins(0x15, true, false, value)


def _any_bit(mask: int, true: int, false: int) -> Instruction:
    return _ins(0x45, true, false, mask)


def _give(action: int) -> Instruction:
    return _ins(0x06, 0, 0, action)


def refuse(errno: int) -> int:
    """The action that makes a call fail with `errno`."""
    return _ERRNO | errno


def _argument_is(index: int, allowed: Iterable[int], otherwise: int) -> Block:
    """Allow the call if argument `index` is one of `allowed`, else `otherwise`."""
    block = [_load_argument(index)]
    for value in allowed:
        block += [_equal(value, 0, 1), _give(ALLOW)]
    return [*block, _give(otherwise)]


class _Program:
    """Collects instructions; calls this machine does not have are left out."""

    def __init__(self) -> None:
        self.instructions: Block = []

    def on(self, name: str, block: Block) -> None:
        number = syscalls.NUMBERS.get(name)
        if number is not None:
            self.instructions += [_equal(number, 0, len(block)), *block]

    def on_each(self, names: Iterable[str], action: int) -> None:
        for name in names:
            self.on(name, [_give(action)])


def base_filter(*, may_open: bool) -> list[Instruction]:
    """The filter of the zygote and, before the program filter, of its children.

    may_open: False refuses every open with EACCES (level L2).
    """
    program = _Program()
    program.instructions += _check_architecture()
    program.on_each(PLAIN, ALLOW)
    program.on_each(ZYGOTE_ONLY, ALLOW)
    read_only = [_any_bit(_WRITING, 1, 0), _give(ALLOW), _give(refuse(EACCES))]
    for name, flags in (("openat", 2), ("open", 1)):
        program.on(
            name, [_load_argument(flags), *read_only] if may_open else [_give(refuse(EACCES))]
        )
    _memory_rules(program)
    program.on("ioctl", _argument_is(1, _TERMINAL_QUERIES, refuse(ENOTTY)))
    program.on("fcntl", _argument_is(1, _FCNTL, refuse(EPERM)))
    program.on("clone", _argument_is(0, (*THREAD_FLAGS, FORK_FLAGS), refuse(EPERM)))
    # The flags of clone3 are behind a pointer, out of a filter's sight; glibc then falls back to clone.
    program.on("clone3", [_give(refuse(ENOSYS))])
    program.on("socketpair", _stream_pair())
    program.on("prctl", _argument_is(0, (_PR_SET_NAME, syscalls.PR_SET_PDEATHSIG), refuse(EPERM)))
    program.on("arch_prctl", _argument_is(0, (_ARCH_SET_FS,), refuse(EPERM)))
    program.on("prlimit64", _argument_is(0, (0,), refuse(EPERM)))
    program.on("tgkill", [_give(ALLOW)])
    program.on_each(DEADLY, KILL)
    return [*program.instructions, _give(refuse(EPERM))]


def _check_architecture() -> Block:
    block = [
        _load(4),
        _equal(syscalls.audit_arch(syscalls.MACHINE), 1, 0),
        _give(KILL),
        _load_number(),
    ]
    if syscalls.MACHINE == "x86_64":
        block += [_ins(0x35, 0, 1, 0x40000000), _give(KILL)]  # the x32 numbering
    return block


def _memory_rules(program: _Program) -> None:
    """No mapping is ever writable and executable, and executable ones come from files."""
    denied = _give(refuse(EPERM))
    program.on("mmap", [
        _load_argument(2), _any_bit(_PROT_EXEC, 0, 3), _any_bit(_PROT_WRITE, 3, 0),
        _load_argument(3), _any_bit(_MAP_ANONYMOUS, 1, 0), _give(ALLOW), denied,
    ])  # fmt: skip
    program.on("mprotect", [_load_argument(2), _any_bit(_PROT_EXEC, 1, 0), _give(ALLOW), denied])


def _stream_pair() -> Block:
    """socketpair(AF_UNIX, SOCK_STREAM, ...) only: asyncio needs it to wake itself."""
    return [
        _load_argument(0), _equal(_AF_UNIX, 0, 4), _load_argument(1), _ins(0x54, 0, 0, 0xF),
        _equal(_SOCK_STREAM, 0, 1), _give(ALLOW), _give(refuse(EPERM)),
    ]  # fmt: skip


def program_filter() -> tuple[list[Instruction], int]:
    """The second filter, of a child about to run a program.

    Shared memory that belongs to no file would stay when it is unmapped but for a page, and no limit of a process
    counts it. A CPU limit of the program's own would end it by the signal that means somebody outside did.

    Returns the instructions and the index of the one whose constant is the child's own process id.
    """
    program = _Program()
    program.instructions.append(_load_number())
    program.on("clone", _argument_is(0, THREAD_FLAGS, refuse(EPERM)))
    program.on("prctl", _argument_is(0, (_PR_SET_NAME,), refuse(EPERM)))
    program.on_each(ZYGOTE_ONLY, refuse(EPERM))
    shared = _MAP_SHARED | _MAP_ANONYMOUS
    program.on("mmap", [
        _load_argument(3), _ins(0x54, 0, 0, shared), _equal(shared, 0, 1), _give(refuse(EPERM)), _give(ALLOW),
    ])  # fmt: skip
    program.on("prlimit64", [
        _load_argument(1), _equal(_RLIMIT_CPU, 0, 5), _load_argument(2), _equal(0, 0, 2),
        _load(_HIGH_HALF + 16 + 8 * 2), _equal(0, 1, 0), _give(refuse(EPERM)), _give(ALLOW),
    ])  # fmt: skip
    # Signals to oneself only, and never SIGKILL: that one means somebody outside ended the child.
    own_pid = len(program.instructions) + 2
    program.on("tgkill", [
        _load_argument(0), _equal(0, 0, 3), _load_argument(2), _equal(SIGKILL, 1, 0), _give(ALLOW),
        _give(refuse(EPERM)),
    ])  # fmt: skip
    return [*program.instructions, _give(ALLOW)], own_pid
