/* Clocks of a process that a test sets, for LD_PRELOAD: the file FAKE_CLOCKS holds three doubles,
   the seconds by which the wall clock, the monotonic clock and that since boot are ahead. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile double *ahead;

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("FAKE_CLOCKS");
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, 3 * sizeof(double), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        ahead = mapped;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result || !ahead)
        return result;
    int index = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? 0
              : clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ? 1
              : clock == CLOCK_BOOTTIME ? 2 : -1;
    if (index < 0)
        return 0;
    double whole = floor(ahead[index]);
    now->tv_sec += (time_t)whole;
    now->tv_nsec += (long)((ahead[index] - whole) * 1e9);
    if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec += 1;
    }
    return 0;
}
