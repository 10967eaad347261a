package wasip1

import (
	"io"
	"time"
)

// memFile is an open file of a MemFS.
type memFile struct {
	fs          *MemFS
	node        *memNode
	read, write bool
	// closed is guarded by the node's lock, so that nothing is written after the node was released.
	closed bool
}

// openFile needs the tree to be locked.
func (m *MemFS) openFile(n *memNode, o OpenOptions) *memFile {
	n.handles++
	return &memFile{fs: m, node: n, read: o.Read, write: o.Write}
}

func (f *memFile) Close() error {
	err := f.change(true, func() error {
		f.closed = true
		return nil
	})
	if err != nil {
		return err
	}
	f.fs.tree.Lock()
	defer f.fs.tree.Unlock()
	f.node.handles--
	f.fs.release(f.node)
	return nil
}

// view does something with the node that others may do at the same time.
func (f *memFile) view(allowed bool, do func() error) error {
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if f.closed || !allowed {
		return EBADF
	}
	return do()
}

// change does something with the node that nobody else may do at the same time.
func (f *memFile) change(allowed bool, do func() error) error {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if f.closed || !allowed {
		return EBADF
	}
	return do()
}

func (f *memFile) Stat() (Stat, error) {
	if err := f.Sync(true); err != nil {
		return Stat{}, err
	}
	f.fs.tree.RLock()
	defer f.fs.tree.RUnlock()
	return f.fs.stat(f.node), nil
}

func (f *memFile) SetTimes(times Times) error {
	now := f.fs.now()
	return f.change(true, func() error {
		f.node.setTimesLocked(times, now)
		return nil
	})
}

func (f *memFile) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.view(f.read, func() error {
		switch {
		case offset < 0:
			return EINVAL
		case len(p) == 0:
			return nil
		case offset >= f.node.data.size:
			return io.EOF
		}
		n = f.node.data.readAt(p, offset)
		f.node.touchAccess(f.fs)
		return nil
	})
	return n, err
}

// touchAccess sets the time of access as Linux does: only where it tells more than the time of modification.
func (n *memNode) touchAccess(m *MemFS) {
	if n.accessed.Load() <= n.modified {
		n.accessed.Store(m.now().UnixNano())
	}
}

func (f *memFile) WriteAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, EINVAL
	}
	return f.writeAt(p, func() int64 { return offset })
}

func (f *memFile) Append(p []byte) (int, error) {
	return f.writeAt(p, func() int64 { return f.node.data.size })
}

// writeAt writes where offset says once nobody else writes.
func (f *memFile) writeAt(p []byte, offset func() int64) (n int, err error) {
	now := f.fs.now()
	err = f.change(f.write, func() error {
		n, err = f.node.data.writeAt(&f.fs.bytes, f.fs.MaxBytes, p, offset())
		if n > 0 {
			f.node.touchLocked(now, true)
		}
		return err
	})
	return n, err
}

func (f *memFile) SetSize(size int64) error {
	switch {
	case size < 0:
		return EINVAL
	case size > f.fs.MaxBytes:
		return EFBIG
	}
	now := f.fs.now()
	return f.change(f.write, func() error {
		f.node.setSizeLocked(f.fs, size, now)
		return nil
	})
}

func (n *memNode) setSize(m *MemFS, size int64, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setSizeLocked(m, size, now)
}

func (n *memNode) setSizeLocked(m *MemFS, size int64, now time.Time) {
	n.data.truncate(&m.bytes, size)
	n.touchLocked(now, true)
}

// Allocate makes room from the file's beginning on.
func (f *memFile) Allocate(offset, n int64) error {
	size := offset + n
	if offset < 0 || n < 0 || size < 0 {
		return EINVAL
	}
	now := f.fs.now()
	return f.change(f.write, func() error {
		err := f.node.data.allocate(&f.fs.bytes, f.fs.MaxBytes, size)
		if err == nil {
			f.node.touchLocked(now, true)
		}
		return err
	})
}

func (f *memFile) Sync(bool) error { return f.view(true, func() error { return nil }) }
