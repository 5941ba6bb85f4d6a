// Calls the class that docs/DEVELOPERS.md shows, and prints the publish's id, or why it has none.
using System;
using System.Net.Http;

public static class Publish
{
    public static int Main()
    {
        var publisher = new CdnPublisher(
            new HttpClient(),
            Environment.GetEnvironmentVariable("SKYCMS_CDN_URL"),
            "default",
            Environment.GetEnvironmentVariable("PUBLISH_HOOK_SECRET"));
        var publish = publisher.PublishAsync("{\"paths\": [\"/csharp\"]}").Result;
        Console.WriteLine(publish.Id ?? publish.Problem);
        return publish.Id == null ? 1 : 0;
    }
}
