/* The zygote's loop in C: take a request, fork a child per test, wait for it, answer.
 *
 * Optional. forkloop.py does the same in Python and documents every function here; the judge works with
 * either, and the tests run with both. This one is faster because a forked child pays for every page
 * that is written on the way to the program: C writes few, the interpreter many.
 *
 * Everything here is trusted and runs before the child's second filter is loaded; what comes over the
 * socket comes from the judge. The layout of messages is that of protocol.py.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* The interpreter's own steps around a fork set free what other threads may hold. A zygote has one thread, at
 * rest in this file, and no handlers; up to 3.11 these steps do nothing else then but write to ten pages. */
#if PY_VERSION_HEX < 0x030C0000
#define BEFORE_FORK()
#define AFTER_FORK()
#define AFTER_FORK_IN_CHILD()
#else
#define BEFORE_FORK() PyOS_BeforeFork()
#define AFTER_FORK() PyOS_AfterFork_Parent()
#define AFTER_FORK_IN_CHILD() PyOS_AfterFork_Child()
#endif

/* Likewise glibc's: _Fork leaves out what only handlers and other threads need. */
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
pid_t _Fork(void);
#define FORK _Fork
#else
#define FORK fork
#endif

enum { MAX_DESCRIPTORS = 64, LONG_MS = 20, MAX_CODE_BYTES = 64 << 20 };
enum { START = 's', RUN = 'r', FLAG_SHARED = 1 };
enum { REASON_NONE = 0, REASON_CPU = 1, REASON_WALL = 2 };

typedef struct {
    char operation;
    uint8_t flags;
    uint16_t tests;
    uint32_t threads;
    double cpu_s, wall_s;
    uint64_t address_space, file_size;
} Request;

typedef struct {
    int32_t status, reason;
    double cpu_s;
    int64_t max_rss_kib;
    double wall_s;
    int64_t error_bytes;
} Outcome;

typedef struct {
    int socket, first_free, other_tasks;
    Py_buffer filter; /* writable: each child puts its own process id in */
    Py_ssize_t own_pid;
    int files[MAX_DESCRIPTORS];
    int file_count;
    Request request;
} Loop;

static double seconds(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) ? -1.0 : (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --- messages --------------------------------------------------------------------------------------- */

/* 1: a request is in `loop`; 0: the judge hung up; -1: an error, with errno set. */
static int receive(Loop *loop)
{
    char control[CMSG_SPACE(sizeof(int) * MAX_DESCRIPTORS)];
    struct iovec part = {&loop->request, sizeof loop->request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t size;
    do
        size = recvmsg(loop->socket, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return (int)size;
    loop->file_count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
            loop->file_count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(loop->files, CMSG_DATA(header), sizeof(int) * (size_t)loop->file_count);
        }
    int heading = loop->request.operation == START ? 4 : 2;
    if (size != sizeof loop->request || message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)
        || loop->file_count != heading + 2 * loop->request.tests) {
        errno = EPROTO;
        return -1;
    }
    return 1;
}

static int answer(int socket, const void *data, size_t size, int descriptor)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* --- the child -------------------------------------------------------------------------------------- */

static void close_all_but(int first, const int *kept, int count)
{
    int sorted[MAX_DESCRIPTORS];
    for (int i = 0; i < count; i++) {
        int j = i;
        for (; j > 0 && sorted[j - 1] > kept[i]; j--)
            sorted[j] = sorted[j - 1];
        sorted[j] = kept[i];
    }
    for (int i = 0; i <= count; i++) {
        int last = i < count ? sorted[i] - 1 : MAX_DESCRIPTORS;
        if (last >= first && syscall(SYS_close_range, first, last, 0) != 0)
            for (int descriptor = first; descriptor <= last; descriptor++)
                close(descriptor);
        if (i < count)
            first = sorted[i] + 1;
    }
}

static int limit(int name, uint64_t value)
{
    struct rlimit both = {value, value};
    return setrlimit(name, &both);
}

static int confine(Loop *loop)
{
    const Request *request = &loop->request;
    if (limit(RLIMIT_CPU, (uint64_t)request->cpu_s + 2) || limit(RLIMIT_AS, request->address_space)
        || limit(RLIMIT_FSIZE, request->file_size)
        || limit(RLIMIT_NPROC, request->threads + (uint64_t)loop->other_tasks))
        return -1;
    if (loop->filter.len == 0)
        return 0;
    struct sock_filter *instructions = loop->filter.buf;
    struct sock_fprog program = {(unsigned short)(loop->filter.len / 8), instructions};
    instructions[loop->own_pid].k = (uint32_t)getpid();
    return syscall(SYS_seccomp, 1, 0, &program) == 0 ? 0 : -1;
}

static PyObject *read_all(int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) || status.st_size > MAX_CODE_BYTES)
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)status.st_size);
    Py_ssize_t done = 0;
    while (data && done < status.st_size) {
        ssize_t more = pread(descriptor, PyBytes_AsString(data) + done, (size_t)(status.st_size - done), done);
        if (more <= 0)
            return NULL;
        done += more;
    }
    return data;
}

/* Become what runs test `test`; a failure before confinement is a SIGKILL to oneself. */
static PyObject *become_child(Loop *loop, int test, pid_t parent)
{
    const Request *request = &loop->request;
    const int *files = loop->files;
    int starting = request->operation == START;
    int heading = starting ? 4 : 2, kept = 0;
    PyObject *work = NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
        PyObject *data = read_all(files[0]);
        int in = request->tests ? files[heading + 2 * test] : files[0];
        int out = request->tests ? files[heading + 2 * test + 1] : files[1];
        if (data && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(files[1], 2) == 2) {
            if (starting)
                kept = request->flags & FLAG_SHARED ? loop->file_count - 2 : 1;
            close_all_but(loop->first_free, files + 2, kept);
            PyObject *descriptors = PyTuple_New(kept);
            for (int i = 0; descriptors && i < kept; i++)
                PyTuple_SetItem(descriptors, i, PyLong_FromLong(files[2 + i]));
            work = Py_BuildValue("(iiNN)", request->operation, request->tests, data, descriptors);
        }
    }
    if (work == NULL || confine(loop) != 0)
        kill(getpid(), SIGKILL);
    return work;
}

/* --- waiting ---------------------------------------------------------------------------------------- */

static int supervise(const Loop *loop, pid_t pid, int child, double wall_end)
{
    clockid_t cpu_clock = (clockid_t)((~(unsigned)pid << 3) | 2); /* clock_getcpuclockid(3) */
    const Request *request = &loop->request;
    for (;;) {
        double used_s = seconds(cpu_clock), left_s = wall_end - seconds(CLOCK_MONOTONIC);
        int reason = used_s >= request->cpu_s ? REASON_CPU : left_s <= 0 ? REASON_WALL : REASON_NONE;
        double next_s = request->cpu_s - used_s < left_s ? request->cpu_s - used_s : left_s;
        struct pollfd events[2] = {{child, POLLIN, 0}, {loop->socket, 0, 0}}; /* 0: only tells of a hang-up */
        if (reason == REASON_NONE && poll(events, 2, next_s > 1e6 ? 1000000000 : (int)(1000 * next_s) + 1) >= 0) {
            if (events[0].revents)
                return REASON_NONE;
            if (events[1].revents)
                reason = REASON_WALL; /* the judge is gone: nobody reads this */
        }
        if (reason != REASON_NONE) {
            kill(pid, SIGKILL);
            return reason;
        }
    }
}

static Outcome wait_for(const Loop *loop, pid_t pid, double started)
{
    Outcome outcome = {0};
    int child = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd event = {child, POLLIN, 0};
    if (poll(&event, 1, LONG_MS) == 0) {
        answer(loop->socket, "still running", 13, child);
        outcome.reason = supervise(loop, pid, child, started + loop->request.wall_s);
    }
    if (child >= 0)
        close(child);
    struct rusage usage;
    int status = 0;
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    outcome.status = status;
    outcome.cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                    + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    outcome.max_rss_kib = usage.ru_maxrss;
    outcome.wall_s = seconds(CLOCK_MONOTONIC) - started;
    if (status == SIGKILL && outcome.reason == REASON_NONE && outcome.cpu_s >= loop->request.cpu_s)
        outcome.reason = REASON_CPU; /* RLIMIT_CPU was quicker on a machine too busy to run this process */
    return outcome;
}

/* A file that an earlier child had in its hands: back to its beginning, with no flags left on it. */
static void rewind_file(int descriptor)
{
    lseek(descriptor, 0, SEEK_SET);
    fcntl(descriptor, F_SETFL, 0);
}

/* Fork a child per test until one fails. Returns what the child has to do in the child, NULL in the zygote. */
static PyObject *run_tests(Loop *loop)
{
    const Request *request = &loop->request;
    int starting = request->operation == START;
    int forks = starting ? 1 : request->tests, heading = starting ? 4 : 2;
    pid_t parent = getpid();
    Outcome outcomes[MAX_DESCRIPTORS];
    int done = 0;
    for (int test = 0; test < forks; test++) {
        int errors = loop->files[1];
        for (int each = test; each < (starting ? request->tests : test + 1); each++)
            rewind_file(loop->files[heading + 2 * each]);
        if (test && ftruncate(errors, 0) == 0)
            rewind_file(errors);
        double started = seconds(CLOCK_MONOTONIC);
        BEFORE_FORK();
        pid_t pid = FORK();
        if (pid == 0) {
            AFTER_FORK_IN_CHILD();
            return become_child(loop, test, parent);
        }
        AFTER_FORK();
        Outcome *outcome = &outcomes[done++];
        *outcome = (Outcome){.status = SIGKILL}; /* if no child could be made: as if killed from outside */
        if (pid > 0)
            *outcome = wait_for(loop, pid, started);
        struct stat written;
        outcome->error_bytes = fstat(errors, &written) ? 0 : written.st_size;
        if (outcome->status || outcome->reason)
            break;
    }
    answer(loop->socket, outcomes, sizeof *outcomes * (size_t)done, -1); /* a failure: the judge has hung up */
    return NULL;
}

/* --- the monitor ------------------------------------------------------------------------------------ */

/* Give the interpreter's heaps back; from here on only this file and the C library's stubs run.
 * maps: /proc/self/maps, opened while there was a /proc. */
static void forget_heaps(int maps)
{
    static char text[1 << 16];
    unsigned long ranges[64][2];
    size_t size = 0;
    int count = 0;
    ssize_t more;
    while (size < sizeof text - 1 && (more = read(maps, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)more;
    for (char *line = text; *line && count < 64; line = strchr(line, '\n') + 1) {
        char *end = strchr(line, '\n'), *rest;
        if (end == NULL)
            break;
        unsigned long start = strtoul(line, &rest, 16), stop = strtoul(rest + 1, &rest, 16);
        int is_heap = end - line > 6 && memcmp(end - 6, "[heap]", 6) == 0, is_unnamed = end[-1] == ' ';
        if (memcmp(rest, " rw-p", 5) == 0 && (is_heap || (is_unnamed && stop - start >= 256 << 10))) {
            ranges[count][0] = start;
            ranges[count++][1] = stop - start;
        }
    }
    while (count--)
        madvise((void *)ranges[count][0], ranges[count][1], MADV_DONTNEED);
}

static PyObject *stand_by(PyObject *module, PyObject *args)
{
    int owner, zygote, pid, maps;
    (void)module;
    if (!PyArg_ParseTuple(args, "iiii", &owner, &zygote, &pid, &maps))
        return NULL;
    forget_heaps(maps);
    struct pollfd events[2] = {{owner, POLLIN, 0}, {zygote, POLLIN, 0}};
    while (poll(events, 2, -1) < 0 && errno == EINTR)
        ;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* --- what Python sees ------------------------------------------------------------------------------- */

static PyObject *serve(PyObject *module, PyObject *args)
{
    Loop loop = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "iiiw*n", &loop.socket, &loop.first_free, &loop.other_tasks, &loop.filter,
                          &loop.own_pid))
        return NULL;
    for (;;) {
        int received = receive(&loop);
        if (received < 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        if (received == 0)
            Py_RETURN_NONE;
        PyObject *work = run_tests(&loop);
        if (work)
            return work;
        for (int i = 0; i < loop.file_count; i++)
            close(loop.files[i]);
    }
}

static PyObject *leaves_nothing(PyObject *module, PyObject *parts)
{
    PyObject *namespace = PyTuple_GetItem(parts, 0), *kinds = PyTuple_GetItem(parts, 1);
    PyObject *threads = PyTuple_GetItem(parts, 2), *at_exit = PyTuple_GetItem(parts, 3);
    PyObject *name, *value;
    Py_ssize_t position = 0;
    (void)module;
    if (PyErr_Occurred())
        return NULL;
    if (PyDict_Size(threads) > 1 || PyList_Size(at_exit) > 0)
        Py_RETURN_FALSE;
    while (PyDict_Next(namespace, &position, &name, &value))
        for (Py_ssize_t i = 0; i < PyTuple_Size(kinds); i++)
            if ((PyObject *)Py_TYPE(value) == PyTuple_GetItem(kinds, i))
                Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

static PyObject *system_call(PyObject *module, PyObject *args)
{
    long given[7] = {0};
    Py_ssize_t count = PyTuple_Size(args);
    (void)module;
    if (count < 1 || count > 7)
        return PyErr_Format(PyExc_TypeError, "system_call: a number and up to six arguments");
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *argument = PyTuple_GetItem(args, i);
        if (PyBytes_Check(argument))
            given[i] = (long)PyBytes_AsString(argument);
        else if (argument != Py_None)
            given[i] = PyLong_AsLong(argument);
        if (PyErr_Occurred())
            return NULL;
    }
    long result = syscall(given[0], given[1], given[2], given[3], given[4], given[5], given[6]);
    return result < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(result);
}

static PyObject *load_filter(PyObject *module, PyObject *args)
{
    Py_buffer filter;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*", &filter))
        return NULL;
    struct sock_fprog program = {(unsigned short)(filter.len / 8), filter.buf};
    long result = syscall(SYS_seccomp, 1, 0, &program);
    PyBuffer_Release(&filter);
    if (result != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"serve", serve, METH_VARARGS, NULL},
    {"leaves_nothing", leaves_nothing, METH_O, NULL},
    {"stand_by", stand_by, METH_VARARGS, NULL},
    {"system_call", system_call, METH_VARARGS, NULL},
    {"load_filter", load_filter, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_forkloop", NULL, -1, functions,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__forkloop(void)
{
    return PyModule_Create(&definition);
}
