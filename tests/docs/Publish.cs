// Calls the class that docs/DEVELOPERS.md shows.
using System;
using System.Net.Http;

public static class Publish
{
    public static void Main()
    {
        var publisher = new CdnPublisher(
            new HttpClient(),
            Environment.GetEnvironmentVariable("SKYCMS_CDN_URL"),
            "default",
            Environment.GetEnvironmentVariable("PUBLISH_HOOK_SECRET"));
        Console.WriteLine(publisher.PublishAsync("article-42-7", "{\"paths\": [\"/csharp\"]}").Result);
    }
}
