import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * Serves {@code s3://bucket/key} from {@code <folder.root>/bucket/key}, so that tables which Spark
 * writes name their files as they will be named wherever the folder is served by an S3 server.
 */
public class FolderFileSystem extends RawLocalFileSystem {
  private static final long BLOCK_BYTES = 64L << 20;

  private static final URI UNSET = URI.create("s3://unset");

  private URI uri;
  private String root;

  @Override
  public void initialize(URI uri, Configuration configuration) throws IOException {
    super.initialize(URI.create("file:///"), configuration);
    this.uri = URI.create(uri.getScheme() + "://" + uri.getAuthority());
    this.root = configuration.get("folder.root");
  }

  @Override
  public URI getUri() {
    // The constructor above asks before there is one.
    return uri == null ? UNSET : uri;
  }

  @Override
  public String getScheme() {
    return getUri().getScheme();
  }

  @Override
  protected void checkPath(Path path) {
    // Every bucket is a folder.
  }

  @Override
  public File pathToFile(Path path) {
    String authority = path.toUri().getAuthority();
    String bucket = authority == null ? getUri().getAuthority() : authority;
    return new File(new File(root, bucket), path.toUri().getPath());
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    File file = pathToFile(path);
    if (!file.exists()) {
      throw new FileNotFoundException(path.toString());
    }
    Path qualified = path.makeQualified(getUri(), new Path("/"));
    return new FileStatus(
        file.length(), file.isDirectory(), 1, BLOCK_BYTES, file.lastModified(), qualified);
  }
}
