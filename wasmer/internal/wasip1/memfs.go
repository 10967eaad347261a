package wasip1

import (
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

// MemFS is a file system in memory. Its limits keep guests from using up the host's memory: beyond them is ENOSPC. It is
// safe for concurrent use; the fields are set before its first.
type MemFS struct {
	// MaxBytes bounds what the contents of files take, in blocks of 512 bytes, and the targets of symbolic links; it is also the
	// largest size of a file. MaxNodes bounds the files, directories and links; a name takes up to 255 bytes besides.
	MaxBytes, MaxNodes int64
	// Now is the clock for the times of files; nil is time.Now.
	Now func() time.Time

	device uint64
	bytes  usage
	nodes  usage

	// tree guards the names: the entries of all directories, and how many names and handles a node has. A node's own lock may
	// be taken after it.
	tree  sync.RWMutex
	inode uint64
	start sync.Once
	root  *memNode
}

// The bounds that a MemFS has if no others are set.
const (
	defaultMaxBytes = 1 << 30
	defaultMaxNodes = 1_000_000
)

// MemFSOf finds what package wasmer's file system in memory stands for; that package sets it.
var MemFSOf func(fs.FS) *MemFS

// NewMemFS makes an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{MaxBytes: defaultMaxBytes, MaxNodes: defaultMaxNodes, device: newDevice()}
}

// lastDevice counts the file systems that are not of the host. It starts where no device of a host is.
var lastDevice atomic.Uint64

func newDevice() uint64 { return lastDevice.Add(1) | 1<<63 }

// Root is the directory that holds everything.
func (m *MemFS) Root() Dir { return m.rootDir() }

func (m *MemFS) rootDir() *memDir {
	m.start.Do(func() {
		m.inode = 1
		m.root = &memNode{inode: m.inode, fileType: TypeDirectory, names: 1}
		m.root.stamp(m.now())
	})
	m.tree.Lock()
	defer m.tree.Unlock()
	return m.openDir(m.root)
}

func (m *MemFS) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// memNode is a file, a directory or a symbolic link. It lives while it has names or is open.
type memNode struct {
	inode      uint64
	fileType   FileType
	linkTarget string

	// Guarded by the tree's lock. parent, entries and directories are a directory's; directories counts those among its entries.
	names, handles, directories uint64
	parent                      *memNode
	entries                     memEntries

	// mu guards the rest, but for the time of access, which readers set.
	mu                sync.RWMutex
	data              memData
	modified, changed int64
	accessed          atomic.Int64
}

// newNode makes a node that has no name yet; it must be given one, or be released. The tree is locked.
func (m *MemFS) newNode(fileType FileType, linkTarget string, now time.Time) (*memNode, error) {
	if err := m.nodes.take(1, m.MaxNodes); err != nil {
		return nil, err
	}
	if err := m.bytes.take(int64(len(linkTarget)), m.MaxBytes); err != nil {
		m.nodes.give(1)
		return nil, err
	}
	m.inode++
	n := &memNode{inode: m.inode, fileType: fileType, linkTarget: linkTarget}
	n.stamp(now)
	return n, nil
}

// release gives back what a node took once nothing leads to it any more. The tree is locked.
func (m *MemFS) release(n *memNode) {
	if n.names > 0 || n.handles > 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.data.truncate(&m.bytes, 0)
	m.bytes.give(int64(len(n.linkTarget)))
	m.nodes.give(1)
}

// stamp sets all times of a new node.
func (n *memNode) stamp(now time.Time) {
	n.accessed.Store(now.UnixNano())
	n.modified, n.changed = now.UnixNano(), now.UnixNano()
}

// touch says that the node was changed, and modified says so of its contents.
func (n *memNode) touch(now time.Time, modified bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.touchLocked(now, modified)
}

func (n *memNode) touchLocked(now time.Time, modified bool) {
	n.changed = now.UnixNano()
	if modified {
		n.modified = n.changed
	}
}

func (n *memNode) setTimes(times Times, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setTimesLocked(times, now)
}

func (n *memNode) setTimesLocked(times Times, now time.Time) {
	if times.Accessed != nil {
		n.accessed.Store(times.Accessed.UnixNano())
	}
	if times.Modified != nil {
		n.modified = times.Modified.UnixNano()
	}
	n.changed = now.UnixNano()
}

// stat needs the tree to be locked, for reading at least.
func (m *MemFS) stat(n *memNode) Stat {
	n.mu.RLock()
	defer n.mu.RUnlock()
	stat := Stat{
		Device: m.device, Inode: n.inode, Type: n.fileType, Links: n.names,
		Accessed: n.accessed.Load(), Modified: n.modified, Changed: n.changed,
	}
	switch n.fileType {
	case TypeDirectory:
		if n.names > 0 {
			stat.Links = 2 + n.directories // its name, its "." and the ".." of those beneath
		}
	case TypeSymbolicLink:
		stat.Size = uint64(len(n.linkTarget))
	default:
		stat.Size = uint64(n.data.size)
	}
	return stat
}

// child, fileType and target are those of tree, which is locked.
func (m *MemFS) child(directory *memNode, name string) (*memNode, error) {
	if len(name) > maxName {
		return nil, ENAMETOOLONG
	}
	if entry := directory.entries.get(name); entry != nil {
		return entry.node, nil
	}
	return nil, ENOENT
}

func (m *MemFS) fileType(n *memNode) FileType { return n.fileType }

func (m *MemFS) target(n *memNode) (string, error) { return n.linkTarget, nil }

// usage counts something that is bounded.
type usage struct {
	mu   sync.Mutex
	used int64
}

// take is ENOSPC, and takes nothing, if that is more than there may be.
func (u *usage) take(n, bound int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > bound-u.used {
		return ENOSPC
	}
	u.used += n
	return nil
}

func (u *usage) give(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used -= n
}
