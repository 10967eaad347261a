package wasmer

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeWatch has the kernel tell which pages were written, whoever wrote them: those that are protected for writing lose that
// protection silently at the first write, and are found by it (Linux 6.7 and later; no privilege is needed). Where the kernel
// does not do that it tells nothing.
//
// See https://docs.kernel.org/admin-guide/mm/pagemap.html
type writeWatch struct {
	userfault *os.File
	base      uintptr
	size      uintptr
	moves     uint64
	regions   []pageRegion
	off       bool
}

// The kernel's interface, as far as golang.org/x/sys lacks it.
const (
	uffdUserModeOnly    = 1
	uffdAPI             = 0xaa
	uffdioAPI           = 0xc018aa3f
	uffdioRegister      = 0xc020aa00
	uffdWPUnpopulated   = 1 << 13
	uffdWPAsync         = 1 << 15
	uffdRegisterModeWP  = 1 << 1
	pagemapScan         = 0xc0606610
	scanProtectMatching = 1 << 0
	scanCheckAsync      = 1 << 1
	pageIsWritten       = 1 << 1
)

type pageRegion struct{ start, end, categories uint64 }

type scanArguments struct {
	size, flags, start, end, walkEnd                 uint64
	regions, regionCount, maxPages                   uint64
	inverted, categoryMask, categoryAny, categoryOut uint64
}

var pagemap = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/pagemap") })

func ioctl(file *os.File, request uintptr, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// written gives the pages that may have been written since the last time, and begins anew. All may have, the first time, and
// after the memory has moved: the kernel forgets then.
func (w *writeWatch) written(data []byte, moves uint64) []PageRange {
	base, size := uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data))
	all := []PageRange{{Size: uint64(size)}}
	if w.off || size == 0 {
		return all
	}
	if w.moves != moves || w.base != base {
		w.close()
	}
	if w.userfault == nil {
		w.base, w.size, w.moves, w.userfault = base, 0, moves, openUserfault()
	}
	known, err := w.scan(0, w.size)
	if err == nil && size > w.size {
		if err = w.register(w.size, size); err == nil {
			known = append(known, PageRange{Offset: uint64(w.size), Size: uint64(size - w.size)})
			_, err = w.scan(w.size, size)
			w.size = size
		}
	}
	if err != nil {
		w.close()
		w.off = true
		return all
	}
	return known
}

// openUserfault gives nil where the kernel has not what it takes.
func openUserfault() *os.File {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil
	}
	file := os.NewFile(fd, "userfaultfd")
	// The numbers are given out from below: most of them are left to the program.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(fd) >= limit.Cur/4 {
		_ = file.Close()
		return nil
	}
	api := [3]uint64{uffdAPI, uffdWPAsync | uffdWPUnpopulated}
	if ioctl(file, uffdioAPI, unsafe.Pointer(&api)) != nil {
		_ = file.Close()
		return nil
	}
	return file
}

func (w *writeWatch) register(from, to uintptr) error {
	if w.userfault == nil {
		return unix.ENOSYS
	}
	register := [4]uint64{uint64(w.base + from), uint64(to - from), uffdRegisterModeWP}
	return ioctl(w.userfault, uffdioRegister, unsafe.Pointer(&register))
}

// scan finds the pages of a part that are not protected, and protects them.
func (w *writeWatch) scan(from, to uintptr) (found []PageRange, err error) {
	if from == to {
		return nil, nil
	}
	file, err := pagemap()
	if err != nil {
		return nil, err
	}
	if w.regions == nil {
		w.regions = make([]pageRegion, 64) // where the kernel finds it: on the heap
	}
	for start, end := uint64(w.base+from), uint64(w.base+to); start < end; {
		arguments := scanArguments{
			size: uint64(unsafe.Sizeof(scanArguments{})), flags: scanProtectMatching | scanCheckAsync, start: start, end: end,
			regions: uint64(uintptr(unsafe.Pointer(&w.regions[0]))), regionCount: uint64(len(w.regions)),
			categoryMask: pageIsWritten, categoryOut: pageIsWritten,
		}
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), pagemapScan, uintptr(unsafe.Pointer(&arguments)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return nil, errno
		}
		for _, region := range w.regions[:n] {
			found = append(found, PageRange{Offset: region.start - uint64(w.base), Size: region.end - region.start})
		}
		if arguments.walkEnd <= start {
			return nil, unix.EINVAL
		}
		start = arguments.walkEnd
	}
	return found, nil
}

func (w *writeWatch) close() {
	if w.userfault != nil {
		_ = w.userfault.Close()
		w.userfault = nil
	}
}
