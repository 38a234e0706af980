"""What has to be in C: the echo loop that servers are compared with, and a client that is
quick enough to keep a server busy. Compiled on the spot, where there is a compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

# An empty packet asks for the CPU that the loop has used, in microseconds.
_ECHO = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int cpu(char *into) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return sprintf(into, "%lld", (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000LL
                                     + r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

int main(void) {
    static char packet[65536];
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *peer = (struct sockaddr *)&from;
    socklen_t size = sizeof from;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(s, peer, size) || getsockname(s, peer, &size)) return 1;
    printf("%d\n", ntohs(from.sin_port));
    fflush(stdout);
    for (;;) {
        size = sizeof from;
        ssize_t got = recvfrom(s, packet, sizeof packet, 0, peer, &size);
        if (got == 0) got = cpu(packet);
        if (got < 0 || sendto(s, packet, got, 0, peer, size) < 0) return 1;
    }
}
"""

# Arguments: socket, port, packets in flight, and whether requests count as answers (the echo
# loop sends them back). Packets come on the standard input, each behind its length. A request
# that is no answer is the server's own, and not ours to answer.
_CLIENT = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

static char all[1 << 26], answer[65536];
static char *next = all, *end;
static struct sockaddr_in to = {.sin_family = AF_INET};

static int send_next(int s) {
    int length = (unsigned char)next[0] << 8 | (unsigned char)next[1];
    ssize_t sent = sendto(s, next + 2, length, 0, (struct sockaddr *)&to, sizeof to);
    next += 2 + length;
    return sent == length;
}

int main(int argc, char **argv) {
    int s = atoi(argv[1]), window = atoi(argv[3]), echoes = atoi(argv[4]), in_flight = 0;
    struct timeval patience = {.tv_sec = 5};
    to.sin_port = htons(atoi(argv[2]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    end = all + fread(all, 1, sizeof all, stdin);
    for (; in_flight < window && next < end; in_flight++)
        if (!send_next(s)) return 1;
    while (in_flight > 0) {
        ssize_t got = recv(s, answer, sizeof answer, 0);
        if (got < 0) return 2;
        if (got > 29 && answer[29] == 1 && !echoes) continue;
        if (next == end) in_flight--;
        else if (!send_next(s)) return 1;
    }
    return 0;
}
"""


def compile_both(folder: Path) -> tuple[Path, Path] | None:
    """The echo loop and the client as programs; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    return _compile(compiler, folder / "echo", _ECHO), _compile(
        compiler, folder / "client", _CLIENT
    )


def _compile(compiler: str, program: Path, source: str) -> Path:
    path = program.with_suffix(".c")
    path.write_text(source)
    subprocess.run([compiler, "-O2", "-o", str(program), str(path)], check=True)
    return program
