package wasmtest

// #include <pthread.h>
// #include <signal.h>
//
// static int block(int how) {
// 	sigset_t all;
// 	sigfillset(&all);
// 	return pthread_sigmask(how, &all, 0);
// }
import "C"

// BlockSignals blocks all signals on the calling thread, or none.
func BlockSignals(block bool) bool {
	how := C.int(C.SIG_UNBLOCK)
	if block {
		how = C.SIG_BLOCK
	}
	return C.block(how) == 0
}
