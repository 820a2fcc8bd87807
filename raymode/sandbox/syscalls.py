"""System call numbers by name, and a thin wrapper around the few calls Python's os module lacks.

Numbers are the kernel's: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
The aarch64 table is written from the latter and has not been tried on such a machine.
"""

import os

from raymode.sandbox.loops import system_call

_X86_64 = """
read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11 brk 12
rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17 pwrite64 18 readv 19 writev 20
access 21 pipe 22 select 23 sched_yield 24 mremap 25 msync 26 madvise 28 dup 32 dup2 33 pause 34
nanosleep 35 getitimer 36 alarm 37 setitimer 38 getpid 39 sendto 44 recvfrom 45 sendmsg 46 recvmsg 47
shutdown 48 getsockname 51 getpeername 52 socketpair 53 setsockopt 54 getsockopt 55 clone 56 fork 57
exit 60 wait4 61 kill 62 uname 63 fcntl 72 fsync 74 fdatasync 75 ftruncate 77 getcwd 79 chdir 80
fchdir 81 readlink 89 umask 95 gettimeofday 96 getrlimit 97 getrusage 98 sysinfo 99 times 100 ptrace 101
getuid 102 syslog 103 getgid 104 geteuid 107 getegid 108 getppid 110 getpgrp 111 getgroups 115
getresuid 118 getresgid 120 getpgid 121 getsid 124 capset 126 rt_sigpending 127 rt_sigtimedwait 128
rt_sigsuspend 130 sigaltstack 131 personality 135 getpriority 140 sched_getparam 143
sched_getscheduler 145 modify_ldt 154 pivot_root 155 prctl 157 arch_prctl 158 adjtimex 159 chroot 161
acct 163 settimeofday 164 mount 165 umount2 166 swapon 167 swapoff 168 reboot 169 sethostname 170 iopl 172 ioperm 173
init_module 175 delete_module 176 quotactl 179 gettid 186 time 201 futex 202 sched_getaffinity 204
getdents64 217 set_tid_address 218 restart_syscall 219 clock_settime 227 clock_gettime 228
clock_getres 229 clock_nanosleep 230 exit_group 231 epoll_wait 232 epoll_ctl 233 tgkill 234 mbind 237
kexec_load 246 waitid 247 add_key 248 request_key 249 keyctl 250 openat 257 newfstatat 262
readlinkat 267 faccessat 269 pselect6 270 ppoll 271 unshare 272 set_robust_list 273
get_robust_list 274 epoll_pwait 281 eventfd2 290 epoll_create1 291 dup3 292 pipe2 293
perf_event_open 298 prlimit64 302 name_to_handle_at 303 open_by_handle_at 304 clock_adjtime 305
setns 308 getcpu 309 process_vm_readv 310 process_vm_writev 311 kcmp 312 finit_module 313 seccomp 317
getrandom 318 kexec_file_load 320 bpf 321 userfaultfd 323 membarrier 324 statx 332 rseq 334
"""
_AARCH64 = """
getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 fcntl 25 ioctl 29
umount2 39 mount 40 pivot_root 41 ftruncate 46 faccessat 48 chdir 49 fchdir 50 chroot 51 openat 56
close 57 pipe2 59 quotactl 60 getdents64 61 lseek 62 read 63 write 64 readv 65 writev 66 pread64 67
pwrite64 68 pselect6 72 ppoll 73 readlinkat 78 newfstatat 79 fstat 80 fsync 82 fdatasync 83 acct 89
capset 91 personality 92 exit 93 exit_group 94 waitid 95 set_tid_address 96 unshare 97 futex 98
set_robust_list 99 get_robust_list 100 nanosleep 101 getitimer 102 setitimer 103 kexec_load 104
init_module 105 delete_module 106 clock_settime 112 clock_gettime 113 clock_getres 114
clock_nanosleep 115 syslog 116 ptrace 117 sched_getscheduler 120 sched_getparam 121
sched_getaffinity 123 sched_yield 124 restart_syscall 128 kill 129 tgkill 131 sigaltstack 132
rt_sigsuspend 133 rt_sigaction 134 rt_sigprocmask 135 rt_sigpending 136 rt_sigtimedwait 137
rt_sigreturn 139 getpriority 141 reboot 142 getresuid 148 getresgid 150 times 153 getpgid 155
getsid 156 getgroups 158 uname 160 sethostname 161 getrlimit 163 getrusage 165 umask 166 prctl 167 getcpu 168
gettimeofday 169 settimeofday 170 adjtimex 171 getpid 172 getppid 173 getuid 174 geteuid 175
getgid 176 getegid 177 gettid 178 sysinfo 179 socketpair 199 getsockname 204 getpeername 205 sendto 206
recvfrom 207 setsockopt 208 getsockopt 209 shutdown 210 sendmsg 211 recvmsg 212 brk 214 munmap 215
mremap 216 add_key 217 request_key 218 keyctl 219 clone 220 mmap 222 swapon 224 swapoff 225
mprotect 226 msync 227 madvise 233 mbind 235 perf_event_open 241 wait4 260 prlimit64 261
name_to_handle_at 264 open_by_handle_at 265 clock_adjtime 266 setns 268 process_vm_readv 270
process_vm_writev 271 kcmp 272 finit_module 273 seccomp 277 getrandom 278 bpf 280 userfaultfd 282
membarrier 283 statx 291 rseq 293 kexec_file_load 294
"""
_EVERYWHERE = """
pidfd_send_signal 424 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 open_tree 428
move_mount 429 fsopen 430 fsconfig 431 fsmount 432 fspick 433 pidfd_open 434 clone3 435
close_range 436 pidfd_getfd 438 faccessat2 439 process_madvise 440 mount_setattr 442
landlock_create_ruleset 444 landlock_add_rule 445 landlock_restrict_self 446
"""

_MACHINES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_AARCH64, 0xC00000B7)}
SUPPORTED_MACHINES = tuple(_MACHINES)
TESTED_MACHINES = ("x86_64",)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38


def table(machine: str) -> dict[str, int]:
    """Return {system call name: number} of `machine`; raises KeyError for an unsupported one."""
    words = (_MACHINES[machine][0] + _EVERYWHERE).split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def audit_arch(machine: str) -> int:
    """Return the AUDIT_ARCH constant that seccomp reports for `machine`'s native calls."""
    return _MACHINES[machine][1]


MACHINE = os.uname().machine
NUMBERS: dict[str, int] = table(MACHINE) if MACHINE in _MACHINES else {}
Argument = int | bytes | None


def call(name: str, *args: Argument) -> int:
    """Make the system call `name`; bytes are passed as a pointer to them. Raises OSError."""
    try:
        return system_call(NUMBERS[name], *args)
    except OSError as error:
        raise OSError(error.errno, f"{name}: {os.strerror(error.errno or 0)}") from None


def prctl(option: int, value: int = 0) -> None:
    """prctl(2) with one argument. Raises OSError."""
    call("prctl", option, value, 0, 0, 0)
